//! Load tests: when to send requests, and the evaluation of their latencies.
//!
//! Decision: arrivals and evaluation are pure functions over plain numbers, so they are tested in
//! virtual time.

pub mod arrivals;
mod latency;
mod random;
pub mod records;

pub use random::Random;
