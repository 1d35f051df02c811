//! What a run costs by its number of rows: the curve that decides where a run happens.
//!
//! Input: rows and run time of every batch. Rule: one moving average for each doubling of the rows,
//! a sample counting an eighth and at most four times what was expected, so that one interrupted
//! run does not change the mode. Cold start: a size that never ran has no estimate, and runs on a
//! thread of its own, which measures it. Recovery: every run counts, wherever it happened.
//! Rejected: a fitted line, which small models with fixed costs bend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::batch::curve::{Curve, whole};

/// Up to 2^15 rows are told apart; larger requests count as the last size.
const N_SIZES: usize = 16;

/// The share of a new sample, as a power of two.
const WEIGHT_SHIFT: u32 = 3;

/// How far one sample can pull, in multiples of what was expected.
const MAX_SURPRISE: u64 = 4;

/// Run times by size. Written by every run and read by every request, without a lock.
#[derive(Debug, Default)]
pub(crate) struct CostCurve {
    /// Nanoseconds; 0 for a size that never ran.
    sizes: [AtomicU64; N_SIZES],
}

impl CostCurve {
    /// What is known from runs before.
    pub(crate) fn new(curve: &Curve) -> Self {
        let cost = Self::default();
        for point in curve.points() {
            cost.observe(whole(point.rows), Duration::from_secs_f64(point.seconds));
        }
        cost
    }

    /// A run of `n_rows` took this long.
    pub(crate) fn observe(&self, n_rows: usize, run_time: Duration) {
        let sample = u64::try_from(run_time.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        if let Some(size) = self.size(n_rows) {
            // Two threads may write at once; either sample is as good.
            let updated = blend(size.load(Ordering::Relaxed), sample);
            size.store(updated, Ordering::Relaxed);
        }
    }

    /// How long a run of `n_rows` will take; `None` when nothing of its size ever ran.
    pub(crate) fn estimate(&self, n_rows: usize) -> Option<Duration> {
        match self.size(n_rows)?.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    fn size(&self, n_rows: usize) -> Option<&AtomicU64> {
        let doublings = n_rows.max(1).next_power_of_two().trailing_zeros();
        let index = usize::try_from(doublings).unwrap_or(N_SIZES);
        self.sizes.get(index.min(N_SIZES - 1))
    }
}

fn blend(expected: u64, sample: u64) -> u64 {
    if expected == 0 {
        return sample;
    }
    let sample = sample.min(expected.saturating_mul(MAX_SURPRISE));
    let kept = expected - (expected >> WEIGHT_SHIFT);
    (kept + (sample >> WEIGHT_SHIFT)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn a_size_that_never_ran_has_no_estimate() {
        let curve = CostCurve::default();
        curve.observe(1, micros(5));
        assert_eq!(curve.estimate(1), Some(micros(5)));
        assert_eq!(curve.estimate(2), None);
    }

    #[test]
    fn sizes_up_to_the_next_doubling_share_an_estimate() {
        let curve = CostCurve::default();
        curve.observe(5, micros(9));
        assert_eq!(curve.estimate(8), Some(micros(9)));
        assert_eq!(curve.estimate(4), None);
        curve.observe(usize::MAX >> 1, micros(70));
        assert_eq!(curve.estimate(1 << 20), Some(micros(70)));
    }

    #[test]
    fn one_interrupted_run_moves_the_estimate_by_less_than_half() {
        let curve = CostCurve::default();
        curve.observe(1, micros(100));
        curve.observe(1, micros(50_000));
        assert!(curve.estimate(1).unwrap() < micros(150));
    }

    #[test]
    fn the_estimate_follows_a_lasting_change() {
        let curve = CostCurve::default();
        curve.observe(1, micros(10));
        for _ in 0..60 {
            curve.observe(1, micros(1000));
        }
        let estimate = curve.estimate(1).unwrap();
        assert!(
            estimate > micros(950) && estimate <= micros(1000),
            "{estimate:?}"
        );
    }
}
