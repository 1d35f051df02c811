//! The catalog: model folders on disk, and the opening of the versions in them.
//!
//! A scan ([`layout`]) finds models and versions, and [`settings`] says how each is served. A
//! version is opened by its engine ([`version`]), checked for batch invariance
//! ([`batch_invariance`]) and warmed up ([`warmup`]). Nothing here decides what is served.

pub(crate) mod artifact;
mod batch_invariance;
mod batching;
pub(crate) mod cancellation;
mod golden;
pub(crate) mod layout;
pub(crate) mod settings;
pub(crate) mod version;
mod warmup;
pub(crate) mod watch;
