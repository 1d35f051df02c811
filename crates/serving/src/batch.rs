//! Batches: which requests wait, when a batch is formed, how inputs are joined and outputs split.
//!
//! Decision: everything here is a function over plain data. Time is an argument, and `instance`
//! handles threads, channels and locks, so that the rules can be tested in virtual time.

pub(crate) mod agreement;
pub(crate) mod curve;
pub(crate) mod join;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod split;
