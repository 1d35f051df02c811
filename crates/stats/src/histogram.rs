//! Histogram of times in buckets of a quarter of a power of two.
//!
//! Rule: a quantile is the upper edge of its bucket, so it is at most a quarter too high and never
//! too low. Counting is one addition. Rejected: a sketch, which needs a lock or copies per thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Number of buckets: quarters of powers of two up to 2^40 microseconds, which are twelve days.
const N_BUCKETS: usize = 160;

/// Rounding error of the product of a count and a fraction.
const ROUNDING: f64 = 1e-6;

/// A histogram that is updated while it is read.
#[derive(Debug)]
pub struct AtomicHistogram([AtomicU64; N_BUCKETS]);

/// A histogram of times at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram([u64; N_BUCKETS]);

impl Default for AtomicHistogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self([0; N_BUCKETS])
    }
}

impl AtomicHistogram {
    /// Counts a time.
    pub fn add(&self, time: Duration) {
        if let Some(count) = self.0.get(bucket(time)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the counts so far.
    pub fn read(&self) -> Histogram {
        let counts = self.0.each_ref();
        Histogram(counts.map(|count| count.load(Ordering::Relaxed)))
    }
}

impl Histogram {
    /// Returns the number of counted times.
    pub fn n(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns how many times were at least `threshold`: exact when it is the edge of a bucket, as
    /// quantiles are, and too few by a part of one bucket otherwise.
    pub fn n_over(&self, threshold: Duration) -> u64 {
        let buckets = self.0.iter().enumerate();
        let over = buckets.filter(|(bucket, _)| lower_edge(*bucket) >= threshold);
        over.map(|(_, count)| count).sum()
    }

    /// Returns the `q`-quantile of the counted times; `None` when there are none.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (self.n() as f64 * q - ROUNDING).max(1.0);
        let mut sum = 0;
        let found = self.0.iter().position(|count| {
            sum += count;
            sum as f64 >= rank
        });
        found.map(upper_edge)
    }

    /// Creates a histogram from the counts of some buckets; `None` when a bucket does not exist.
    pub fn from_counts(counts: impl IntoIterator<Item = (u8, u64)>) -> Option<Self> {
        let mut histogram = Self::default();
        for (bucket, count) in counts {
            *histogram.0.get_mut(usize::from(bucket))? = count;
        }
        Some(histogram)
    }

    /// Counts one time by its bucket.
    pub fn add_to_bucket(&mut self, bucket: u8) {
        if let Some(count) = self.0.get_mut(usize::from(bucket)) {
            *count += 1;
        }
    }

    /// Returns the non-empty buckets with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (u8, u64)> {
        let buckets = (0..).zip(self.0);
        buckets.filter(|(_, count)| *count > 0)
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Returns the difference to `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.0;
        for (count, before) in counts.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(before);
        }
        Self(counts)
    }
}

/// Returns the number of the bucket of a time.
#[must_use]
pub fn bucket_of(time: Duration) -> u8 {
    u8::try_from(bucket(time)).unwrap_or(u8::MAX)
}

/// Returns the bucket of a time: the power of two, and the two bits below it.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2();
    let quarter = match power {
        0 | 1 => (micros << (2 - power)) & 3,
        _ => (micros >> (power - 2)) & 3,
    };
    let index = u64::from(power) * 4 + quarter;
    usize::try_from(index).map_or(N_BUCKETS - 1, |index| index.min(N_BUCKETS - 1))
}

/// Returns the smallest time above a bucket.
fn upper_edge(bucket: usize) -> Duration {
    let index = u64::try_from(bucket).unwrap_or_default() + 1;
    Duration::from_micros(((4 + index % 4) << (index / 4)).div_ceil(4))
}

/// Returns the smallest time in a bucket.
fn lower_edge(bucket: usize) -> Duration {
    bucket.checked_sub(1).map_or(Duration::ZERO, upper_edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(counts: &[(u64, u64)]) -> Histogram {
        let histogram = AtomicHistogram::default();
        for &(micros, n) in counts {
            for _ in 0..n {
                histogram.add(Duration::from_micros(micros));
            }
        }
        histogram.read()
    }

    #[test]
    fn buckets_grow_with_the_time_and_hold_what_they_say() {
        let mut last = 0;
        for micros in (1..5000).chain([1 << 20, 1 << 39, u64::MAX]) {
            let time = Duration::from_micros(micros);
            let bucket = bucket(time);
            assert!(bucket >= last, "{micros}");
            last = bucket;
            assert!(lower_edge(bucket) <= time, "{micros}");
            if bucket < N_BUCKETS - 1 {
                let edge = upper_edge(bucket);
                assert!(edge >= time, "{micros}: {edge:?}");
                assert!(
                    edge.as_micros() <= u128::from(micros) * 5 / 4 + 2,
                    "{micros}: {edge:?}"
                );
            }
        }
        assert_eq!(last, N_BUCKETS - 1);
    }

    #[test]
    fn times_over_a_bucket_edge_are_counted_exactly() {
        let histogram = micros(&[(90, 98), (100, 1), (111, 1), (112, 2), (50_000, 3)]);
        let p95 = histogram.quantile(0.95).unwrap();
        assert_eq!(
            (p95, histogram.n_over(p95)),
            (Duration::from_micros(112), 5)
        );
        assert_eq!(histogram.n_over(Duration::ZERO), 105);
        assert_eq!(histogram.n_over(Duration::from_secs(9)), 0);
    }

    #[test]
    fn counts_between_two_snapshots_are_a_difference() {
        let earlier = micros(&[(90, 2)]);
        let later = micros(&[(90, 5), (7, 1)]);
        assert_eq!(later.since(&earlier), micros(&[(90, 3), (7, 1)]));
        assert_eq!(earlier.since(&later).n(), 0, "never below zero");
    }

    #[test]
    fn counts_survive_a_round_trip() {
        let histogram = micros(&[(1, 4), (90, 5), (u64::MAX, 1)]);
        let counts: Vec<_> = histogram.counts().collect();
        assert_eq!(Histogram::from_counts(counts), Some(histogram));
        assert_eq!(Histogram::from_counts([(160, 1)]), None);
        let mut sum = micros(&[(90, 2)]);
        sum.add(&micros(&[(90, 1), (7, 3)]));
        assert_eq!(sum, micros(&[(90, 3), (7, 3)]));
    }

    #[test]
    fn empty_histogram_has_no_quantiles() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(
            micros(&[(90, 1)]).quantile(0.0),
            Some(Duration::from_micros(96))
        );
    }
}
