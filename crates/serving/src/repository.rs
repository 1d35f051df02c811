//! The model repository: folders on disk become versions that serve.
//!
//! A scan ([`layout`]) and the settings of each model ([`settings`]) go into a [`plan`], which the
//! [`controller`] carries out: it opens versions ([`version`],
//! [`batch_invariance`], [`warmup`]) and publishes a [`snapshot`]. What operators
//! ask for beside the files are [`desired`], which the [`persistence`] keeps over restarts.
//!
//! Decision: what is served is an immutable snapshot, swapped whole. One task owns the state behind
//! it; whatever happens (a changed file, a call, a finished load) is an event of that task.

mod batch_invariance;
mod batching;
pub(crate) mod controller;
mod desired;
pub(crate) mod layout;
pub(crate) mod persistence;
mod plan;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod version;
mod warmup;
pub(crate) mod watch;
