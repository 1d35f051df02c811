//! Batches: who waits, when a batch is cut, how its inputs are joined and its outputs split.
//!
//! Decision: everything here is a function over plain data. Time is an argument, and threads,
//! channels and locks are the business of `instance`, so that the rules can be played in virtual
//! time.

pub(crate) mod agreement;
pub(crate) mod curve;
pub(crate) mod join;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod split;
