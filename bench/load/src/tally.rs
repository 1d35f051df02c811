//! Counts of latencies and errors, and the line of JSON that a generator prints.

use std::time::Duration;

use anyhow::{Error, Result};
use hdrhistogram::Histogram;
use tokio::time::Instant;

/// The longest latency that the histogram distinguishes.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Latencies and errors of one thread, or of all.
#[derive(Debug)]
pub struct Tally {
    latency_us: Histogram<u64>,
    n_errors: u64,
    /// The time from the first request to the last reply.
    pub elapsed: Duration,
}

impl Tally {
    /// Creates an empty tally.
    pub fn new() -> Result<Self> {
        let latency_us = Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?;
        Ok(Self {
            latency_us,
            n_errors: 0,
            elapsed: Duration::ZERO,
        })
    }

    /// Counts a request that was sent at `sent` and has just been answered; returns now.
    pub fn record(&mut self, sent: Instant) -> Result<Instant> {
        let now = Instant::now();
        let latency_us = u64::try_from((now - sent).as_micros())?;
        self.latency_us.saturating_record(latency_us.max(1));
        Ok(now)
    }

    /// Counts a failed request, and prints its error.
    pub fn fail(&mut self, error: &Error) {
        eprintln!("{error:#}");
        self.n_errors += 1;
    }

    /// Adds the counts of another thread or connection.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.latency_us.add(&other.latency_us)?;
        self.n_errors += other.n_errors;
        self.elapsed = self.elapsed.max(other.elapsed);
        Ok(())
    }

    /// Returns the figures in the format that `cargo xtask bench` reads.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "n_requests": self.latency_us.len(),
            "seconds": self.elapsed.as_secs_f64(),
            "n_errors": self.n_errors,
            "p50_us": self.latency_us.value_at_quantile(0.5),
            "p99_us": self.latency_us.value_at_quantile(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut total = Tally::new().unwrap();
        for _ in 0..2 {
            let mut tally = Tally::new().unwrap();
            tally.record(Instant::now()).unwrap();
            tally.fail(&anyhow::anyhow!("as this test wants"));
            tally.elapsed = Duration::from_secs(3);
            total.add(&tally).unwrap();
        }
        let json = total.json();
        assert_eq!(json["n_requests"], 2);
        assert_eq!(json["n_errors"], 2);
        assert_eq!(json["seconds"], 3.0);
    }
}
