//! The model repository: folders on disk become served versions.
//!
//! A scan ([`layout`]) and the settings of each model ([`settings`]) go into a [`plan`], which the
//! [`controller`] carries out: it opens versions ([`version`], [`batch_invariance`], [`warmup`])
//! and publishes a [`snapshot`]. The changes of operators are the [`desired`] state, which
//! [`persistence`] stores.
//!
//! Decision: the served models are an immutable snapshot, swapped as a whole. One task owns the
//! state behind it; everything that happens (a changed file, a call, a finished load) is an event
//! of that task.

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
