//! Shared parts of the load generators.
//!
//! Decision: each thread of a generator has a `current_thread` runtime with its own connections and
//! counts, which are added up at the end, so that threads share nothing during the measurement.

pub mod http;
pub mod inference;
pub mod tally;
pub mod threads;
