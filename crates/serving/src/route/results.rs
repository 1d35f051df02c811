//! What the arms of a split have answered: counts and times, since the split was set.
//!
//! Rule: a request counts for the arm that it was assigned to, never when the arm was forced, and
//! not when the caller made a mistake. Times go into buckets of a quarter of a power of two, so a
//! quantile is at most a fifth too high; counting is two additions, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::{ArmResult, Code};

/// Quarters of powers of two up to 2^40 microseconds, which are twelve days.
const N_BUCKETS: usize = 160;

/// The counts of one arm.
#[derive(Debug)]
pub(crate) struct ArmCounts {
    errors: AtomicU64,
    /// Answered requests by their time in microseconds.
    latencies: [AtomicU64; N_BUCKETS],
}

impl Default for ArmCounts {
    fn default() -> Self {
        Self {
            errors: AtomicU64::new(0),
            latencies: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl ArmCounts {
    /// Takes note of a request that took `latency`.
    pub(crate) fn record(&self, error: Option<Code>, latency: Duration) {
        let counter = match error {
            None => self.latencies.get(bucket(latency)),
            Some(code) if code.is_client_mistake() => None,
            Some(_) => Some(&self.errors),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    pub(crate) fn result(&self, arm: &str) -> ArmResult {
        let counts = self.latencies.each_ref();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let n_answered: u64 = counts.iter().sum();
        let n_errors = self.errors.load(Ordering::Relaxed);
        let quantile = |percent: u64| {
            let rank = (n_answered * percent).div_ceil(100).max(1);
            let mut sum = 0;
            let found = counts.iter().position(|count| {
                sum += count;
                sum >= rank
            });
            found.map(upper_edge)
        };
        ArmResult {
            arm: arm.to_owned(),
            n_requests: n_answered + n_errors,
            n_errors,
            p50: quantile(50),
            p95: quantile(95),
            p99: quantile(99),
        }
    }
}

/// The bucket of a time: the power of two, and the two bits below it.
fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros())
        .unwrap_or(u64::MAX)
        .max(1);
    let power = micros.ilog2();
    let quarter = match power {
        0 | 1 => (micros << (2 - power)) & 3,
        _ => (micros >> (power - 2)) & 3,
    };
    let index = u64::from(power) * 4 + quarter;
    usize::try_from(index).map_or(N_BUCKETS - 1, |index| index.min(N_BUCKETS - 1))
}

/// The first time that a bucket is too short for.
fn upper_edge(bucket: usize) -> Duration {
    let index = u64::try_from(bucket).unwrap_or_default() + 1;
    Duration::from_micros(((4 + index % 4) << (index / 4)).div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_with_the_time_and_hold_what_they_say() {
        let mut last = 0;
        for micros in (1..5000).chain([1 << 20, 1 << 39, u64::MAX]) {
            let latency = Duration::from_micros(micros);
            let bucket = bucket(latency);
            assert!(bucket >= last, "{micros}");
            last = bucket;
            if bucket < N_BUCKETS - 1 {
                let edge = upper_edge(bucket);
                assert!(edge >= latency, "{micros}: {edge:?}");
                assert!(
                    edge.as_micros() <= u128::from(micros) * 5 / 4 + 2,
                    "{micros}: {edge:?}"
                );
            }
        }
        assert_eq!(last, N_BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_answered_requests() {
        let counts = ArmCounts::default();
        for _ in 0..98 {
            counts.record(None, Duration::from_micros(100));
        }
        for _ in 0..2 {
            counts.record(None, Duration::from_millis(50));
        }
        counts.record(Some(Code::EngineFailed), Duration::ZERO);
        counts.record(Some(Code::QueueFull), Duration::ZERO);
        counts.record(Some(Code::InvalidRequest), Duration::ZERO);
        let result = counts.result("control");
        assert_eq!((result.n_requests, result.n_errors), (102, 2));
        assert_eq!(result.p50, Some(Duration::from_micros(112)));
        assert_eq!(result.p95, result.p50);
        assert!(
            result
                .p99
                .is_some_and(|p99| p99 >= Duration::from_millis(50))
        );
    }

    #[test]
    fn nothing_has_no_quantiles() {
        let result = ArmCounts::default().result("control");
        assert_eq!((result.n_requests, result.p50, result.p99), (0, None, None));
    }
}
