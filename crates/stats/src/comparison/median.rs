//! Median of measurements with a distribution-free interval.
//!
//! Inputs: n independent measurements. Rule: the interval of 95 % reaches from the l-th smallest
//! value to the l-th largest, where l is the smallest number with P(X <= l) >= 2.5 % for
//! X ~ Binomial(n, 1/2), because the number of values below the median has that distribution. Cold
//! start: fewer than 6 values have no interval. Rejected: the mean, which one pause of the machine
//! moves, and an interval of normal values, which latencies are not. Source: Conover, "Practical
//! Nonparametric Statistics", section 3.2.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::Interval;

/// The probability that the median lies below its interval; that it lies above is as large.
const TAIL: f64 = 0.025;

/// A median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The value.
    pub value: f64,
    /// The interval of 95 %; `None` with fewer than 6 values.
    pub interval: Option<Interval>,
}

impl Median {
    /// Returns the median of the values; `None` without any.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied();
        let last = values.len().checked_sub(1)?;
        let (lower, upper) = (at(last / 2)?, at(values.len() / 2)?);
        Some(Self {
            value: lower + (upper - lower) / 2.0,
            interval: rank(values.len()).and_then(|rank| {
                Some(Interval {
                    lower: at(rank - 1)?,
                    upper: at(values.len() - rank)?,
                })
            }),
        })
    }
}

/// Returns the rank of the lower end among so many values, from 1; `None` where there is none.
fn rank(n_values: usize) -> Option<usize> {
    let below = Binomial::new(0.5, u64::try_from(n_values).ok()?).ok()?;
    let rank = usize::try_from(below.inverse_cdf(TAIL)).ok()?;
    (rank > 0).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        let cases = [
            (1, None),
            (5, None),
            (6, Some(1)),
            (10, Some(2)),
            (20, Some(6)),
            (100, Some(40)),
            (360, Some(161)),
            (1000, Some(469)),
        ];
        for (n_values, expected) in cases {
            assert_eq!(rank(n_values), expected, "{n_values}");
        }
    }

    #[test]
    fn the_median_lies_in_the_middle_of_its_interval() {
        let median = |n: u8| Median::of((1..=n).rev().map(f64::from).collect());
        assert_eq!(median(0), None);
        let value = |n| median(n).unwrap().value;
        assert_eq!([1, 2, 3, 4].map(value), [1.0, 1.5, 2.0, 2.5]);
        let expected = Interval {
            lower: 2.0,
            upper: 9.0,
        };
        assert_eq!(median(10).unwrap().interval, Some(expected));
        assert_eq!(median(5).unwrap().interval, None);
    }

    #[test]
    fn one_pause_moves_the_median_no_further_than_its_neighbour() {
        let mut values = vec![1.0; 20];
        values.push(1e9);
        let median = Median::of(values).unwrap();
        assert_eq!(median.value, 1.0);
        assert_eq!(median.interval.unwrap().upper, 1.0);
    }
}
