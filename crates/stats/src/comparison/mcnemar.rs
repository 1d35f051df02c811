//! Difference of the accuracies of two versions on the same labelled rows.
//!
//! Inputs: of n rows, the b that only the reference classifies correctly and the c that only the
//! other version does. Rules:
//!
//! ```text
//! McNemar's exact test:  p = min(1, 2 P(X <= min(b, c))),  X ~ Binomial(b + c, 1/2)
//! interval of 95 %:      q = (b + 1) / (n + 2),  r = (c + 1) / (n + 2)
//!                        r - q -+ 1.96 sqrt((q + r - (r - q)^2) / (n + 2)), cut to [-1, 1]
//! ```
//!
//! Cold start: without rows there is no difference; without discordant rows p is 1. The rows count
//! as independent, so both are too certain where the rows of an item resemble each other. Rejected:
//! two separate intervals, which ignore that the rows are the same, and the chi-square form of the
//! test, which is wrong for few discordant rows. Sources: McNemar 1947; Bonett and Price,
//! "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
//! data"; Fagerland, Lydersen and Laake, "Recommended tests and confidence intervals for paired
//! binomial proportions".

use statrs::distribution::{Binomial, DiscreteCDF};

use super::report::{LabelReport, float, share};
use crate::Interval;

/// The 97.5 % quantile of the standard normal distribution.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// The accuracy of another version minus that of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccuracyDifference {
    /// The difference, between -1 and 1.
    pub difference: f64,
    /// Its interval of 95 %.
    pub interval: Interval,
    /// The p-value of the hypothesis that both are equally accurate.
    pub p_value: f64,
}

impl LabelReport {
    /// Returns the difference of the accuracies; `None` without rows.
    #[must_use]
    pub fn accuracy_difference(&self) -> Option<AccuracyDifference> {
        let n_rows = self.n_both + self.n_only_reference + self.n_only_other + self.n_neither;
        let shares = [self.n_only_reference, self.n_only_other].map(|n| share(n, n_rows));
        let [only_reference, only_other] = shares;
        (n_rows > 0).then(|| AccuracyDifference {
            difference: only_other - only_reference,
            interval: interval(self.n_only_reference, self.n_only_other, n_rows),
            p_value: p_value(self.n_only_reference, self.n_only_other),
        })
    }
}

fn p_value(only_reference: u64, only_other: u64) -> f64 {
    let discordant = Binomial::new(0.5, only_reference + only_other);
    let tail = discordant.map_or(1.0, |below| below.cdf(only_reference.min(only_other)));
    (2.0 * tail).min(1.0)
}

fn interval(only_reference: u64, only_other: u64, n_rows: u64) -> Interval {
    let [q, r] = [only_reference, only_other].map(|n| float(n + 1) / float(n_rows + 2));
    let difference = r - q;
    let variance = (q + r - difference * difference) / float(n_rows + 2);
    let margin = QUANTILE * variance.sqrt();
    Interval {
        lower: (difference - margin).max(-1.0),
        upper: (difference + margin).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the difference for the rows that only the reference, only the other version, and
    /// both classify alike.
    fn difference(only_reference: u64, only_other: u64, alike: u64) -> AccuracyDifference {
        let labels = LabelReport {
            n_both: alike,
            n_only_reference: only_reference,
            n_only_other: only_other,
            n_neither: 0,
        };
        labels.accuracy_difference().unwrap()
    }

    /// The first row is the example of Fagerland, Lydersen and Laake (airway hyper-responsiveness
    /// before and after a transplantation), the second Agresti's of approval ratings.
    #[test]
    fn test_and_interval_give_the_reference_values() {
        let cases = [
            (7, 1, 13, -0.285_714, -0.508_359, -0.013_380, 0.070_312_5),
            (150, 86, 1364, -0.04, -0.058_723, -0.021_177, 3.715_936e-5),
            (3, 5, 352, 0.005_556, -0.011_587, 0.022_637, 0.726_562_5),
            (0, 0, 348, 0.0, -0.007_919, 0.007_919, 1.0),
            (0, 10, 0, 1.0, 0.520_580, 1.0, 0.001_953_125),
        ];
        for (only_reference, only_other, alike, expected, lower, upper, p_value) in cases {
            let found = difference(only_reference, only_other, alike);
            let pairs = [
                (found.difference, expected),
                (found.interval.lower, lower),
                (found.interval.upper, upper),
            ];
            for (found, expected) in pairs {
                assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            }
            let ratio = found.p_value / p_value;
            assert!(
                (ratio - 1.0).abs() < 1e-6,
                "{}, not {p_value}",
                found.p_value
            );
        }
    }

    #[test]
    fn exchanged_versions_have_the_opposite_difference() {
        let (straight, turned) = (difference(4, 9, 80), difference(9, 4, 80));
        assert_eq!(straight.difference, -turned.difference);
        assert_eq!(straight.interval.lower, -turned.interval.upper);
        assert_eq!(straight.p_value, turned.p_value);
    }

    #[test]
    fn without_rows_there_is_no_difference() {
        assert_eq!(LabelReport::default().accuracy_difference(), None);
    }
}
