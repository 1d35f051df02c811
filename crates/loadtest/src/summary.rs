//! The result of a load in closed loop.

use serde::{Deserialize, Serialize};

/// Summary of a load in closed loop, as a generator prints it in one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// All requests, with those that failed.
    pub n_requests: u64,
    /// The time from the first request to the last reply.
    pub seconds: f64,
    /// Requests that failed.
    pub n_errors: u64,
    /// The median latency in microseconds.
    pub p50_us: f64,
    /// The 99th percentile of the latency in microseconds.
    pub p99_us: f64,
}
