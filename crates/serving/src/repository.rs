//! The model repository: folders on disk become versions that serve.
//!
//! A scan ([`layout`]) and the settings of each model ([`settings`]) go into a [`plan`], which the
//! [`keeper`] carries out: it opens versions ([`version`],
//! [`batch_invariance`], [`warmup`]) and publishes a [`snapshot`]. What operators
//! ask for beside the files are [`wishes`], which the [`archive`] keeps over restarts.
//!
//! Decision: what is served is an immutable snapshot, swapped whole. One task owns the state behind
//! it; whatever happens (a changed file, a call, a finished load) is an event of that task.

pub(crate) mod archive;
mod batch_invariance;
mod batching;
pub(crate) mod keeper;
pub(crate) mod layout;
pub(crate) mod ledger;
mod plan;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod version;
mod warmup;
pub(crate) mod watch;
mod wishes;
