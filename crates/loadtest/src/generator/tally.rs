//! Latencies and errors of a closed loop.
//!
//! Decision: every latency is kept, in four bytes, and nothing is computed before the end. Rejected
//! while a load lasts seconds: `hdrhistogram`, whose memory is bounded, for two more crates to build.

use std::time::Duration;

use super::Error;
use crate::Summary;
use crate::latency::quantile;

/// Latencies and errors of one connection or thread, or of all.
#[derive(Debug, Default)]
pub struct Tally {
    latencies_us: Vec<u32>,
    /// The failures; each has ended its connection.
    pub errors: Vec<Error>,
    /// The time from the first request to the last reply.
    pub(super) elapsed: Duration,
}

impl Tally {
    /// Counts a request, answered or failed.
    pub(super) fn record(&mut self, latency: Duration) {
        let latency_us = u32::try_from(latency.as_micros());
        self.latencies_us.push(latency_us.unwrap_or(u32::MAX));
    }

    /// Adds the counts of another thread or connection.
    pub(super) fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.errors.extend(other.errors);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Returns counts and quantiles.
    #[must_use]
    pub fn summary(&mut self) -> Summary {
        Summary {
            n_requests: self.latencies_us.len() as u64,
            seconds: self.elapsed.as_secs_f64(),
            n_errors: self.errors.len() as u64,
            p50_us: quantile(&mut self.latencies_us, 0.5).into(),
            p99_us: quantile(&mut self.latencies_us, 0.99).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut total = Tally::default();
        for _ in 0..2 {
            let mut tally = Tally::default();
            tally.record(Duration::from_millis(1));
            tally.errors.push(Error::Closed);
            tally.elapsed = Duration::from_secs(3);
            total.add(tally);
        }
        let summary = total.summary();
        assert_eq!(summary.n_requests, 2);
        assert_eq!(summary.n_errors, 2);
        assert_eq!(summary.seconds, 3.0);
    }

    #[test]
    fn quantiles_are_of_all_latencies_in_microseconds() {
        let mut total = Tally::default();
        for first_ms in [1, 51] {
            let mut tally = Tally::default();
            for latency_ms in first_ms..first_ms + 50 {
                tally.record(Duration::from_millis(latency_ms));
            }
            total.add(tally);
        }
        let summary = total.summary();
        assert_eq!((summary.p50_us, summary.p99_us), (50_000.0, 99_000.0));
    }
}
