//! The control of what is served: from scans and operators to a published snapshot.
//!
//! Each scan of the catalog goes into a [`plan`], which the [`controller`] carries out; it publishes
//! a [`snapshot`]. The changes of operators are the [`desired`] state, which [`persistence`] stores.
//!
//! Decision: the served models are an immutable snapshot, swapped as a whole. One task owns the
//! state behind it; everything that happens (a changed file, a call, a finished load) is an event
//! of that task.

pub(crate) mod controller;
mod default_version;
mod desired;
pub(crate) mod persistence;
mod plan;
pub(crate) mod root_problems;
pub(crate) mod snapshot;
pub(crate) mod state;
