//! A histogram of atomics.
//!
//! Rule: a value goes to the first bucket whose bound is not below it. Values are whole numbers,
//! nanoseconds or rows, so that the sum is exact and an observation is two additions. The count is
//! the sum of the buckets, so both always agree within one exposition. Rejected: the histogram of
//! the metrics library, which takes a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds from an in-process echo to a client timeout, about 2.2 times wider at each step.
pub(crate) const LATENCY_BOUNDS: &[u64] = &[
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2_500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
];

/// Bounds at powers of two, the usual values of tuned batch sizes.
pub(crate) const ROW_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

/// The conversion of whole numbers to the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds become seconds.
    Seconds,
    /// Rows, exposed as they are.
    Rows,
}

/// Counts by size.
#[derive(Debug)]
pub(crate) struct Histogram {
    unit: Unit,
    bounds: &'static [u64],
    /// One per bound, and one for what is above.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The contents of a histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets {
    /// The sum of all values.
    pub(crate) sum: f64,
    /// The number of all values.
    pub(crate) count: u64,
    /// Upper bounds, each with the count of its bucket alone; the last bound is infinite.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Returns a histogram of times.
    pub(crate) fn of_seconds() -> Self {
        Self::new(Unit::Seconds, LATENCY_BOUNDS)
    }

    /// Returns a histogram of batch sizes.
    pub(crate) fn of_rows() -> Self {
        Self::new(Unit::Rows, ROW_BOUNDS)
    }

    fn new(unit: Unit, bounds: &'static [u64]) -> Self {
        Self {
            unit,
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a time.
    pub(crate) fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a value.
    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Returns the counts so far.
    pub(crate) fn read(&self) -> Buckets {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let bounds = self.bounds.iter().map(|&bound| self.in_unit(bound));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Buckets {
            sum: self.in_unit(self.sum.load(Ordering::Relaxed)),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the exposition has floating point numbers"
    )]
    fn in_unit(&self, value: u64) -> f64 {
        match self.unit {
            Unit::Seconds => value as f64 / 1e9,
            Unit::Rows => value as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_on_a_bound_counts_below_it() {
        let histogram = Histogram::of_rows();
        for rows in [1, 2, 3, 1024, 1025] {
            histogram.observe(rows);
        }
        let read = histogram.read();
        let full: Vec<_> = read
            .buckets
            .iter()
            .filter(|(_, n)| *n > 0)
            .copied()
            .collect();
        let expected = [
            (1.0, 1),
            (2.0, 1),
            (4.0, 1),
            (1024.0, 1),
            (f64::INFINITY, 1),
        ];
        assert_eq!(full, expected);
        assert_eq!((read.count, read.sum), (5, 2055.0));
    }

    #[test]
    fn times_are_exposed_in_seconds() {
        let histogram = Histogram::of_seconds();
        histogram.observe_time(Duration::from_millis(3));
        let read = histogram.read();
        assert_eq!(read.sum, 0.003);
        assert_eq!(read.buckets[0].0, 0.0001);
        assert!(read.buckets.contains(&(0.005, 1)));
    }

    #[test]
    fn the_longest_time_is_above_all_bounds() {
        let histogram = Histogram::of_seconds();
        histogram.observe_time(Duration::MAX);
        let read = histogram.read();
        assert_eq!(read.buckets.last(), Some(&(f64::INFINITY, 1)));
        assert_eq!(read.count, 1);
        assert!(read.sum.is_finite());
    }

    #[test]
    fn bounds_ascend_so_that_a_search_finds_the_right_one() {
        for bounds in [LATENCY_BOUNDS, ROW_BOUNDS] {
            let is_ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(is_ascending, "{bounds:?}");
        }
    }

    #[test]
    fn a_histogram_that_has_seen_nothing_has_all_its_buckets() {
        let read = Histogram::of_seconds().read();
        assert_eq!((read.count, read.sum), (0, 0.0));
        assert_eq!(read.buckets.len(), LATENCY_BOUNDS.len() + 1);
    }

    proptest! {
        #[test]
        fn the_sum_of_times_is_exact(nanos in prop::collection::vec(0_u64..1 << 40, 0..50)) {
            let histogram = Histogram::of_seconds();
            for &time in &nanos {
                histogram.observe_time(Duration::from_nanos(time));
            }
            let expected = nanos.iter().sum::<u64>() as f64 / 1e9;
            prop_assert_eq!(histogram.read().sum, expected);
        }

        #[test]
        fn every_value_is_counted_once(values in prop::collection::vec(any::<u32>(), 0..50)) {
            let histogram = Histogram::of_rows();
            for &value in &values {
                histogram.observe(u64::from(value));
            }
            let read = histogram.read();
            prop_assert_eq!(read.count, values.len() as u64);
            for (bound, _) in &read.buckets {
                let below: u64 =
                    read.buckets.iter().filter(|(b, _)| b <= bound).map(|(_, n)| n).sum();
                let expected = values.iter().filter(|&&v| f64::from(v) <= *bound).count();
                prop_assert_eq!(below, expected as u64);
            }
        }
    }
}
