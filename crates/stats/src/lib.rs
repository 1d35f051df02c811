//! Statistics behind a verdict: each a few numbers of state and one formula.
//!
//! Decision: everything that decides about traffic is an e-process. Its expectation never exceeds 1
//! when nothing is wrong, so it may be checked after every block without spending the error budget
//! twice. All values are natural logarithms, because evidence overflows an `f64`.

pub mod arm_totals;
pub mod assignment;
pub mod bernoulli;
pub mod best_arm;
pub mod comparison;
pub mod cusum;
pub mod false_discovery;
pub mod histogram;
pub mod margin;
pub mod means;
pub mod mismatch;
pub mod non_inferiority;
pub mod observation;
pub mod output_bins;
pub mod restarts;
pub mod rewards;
pub mod sprt;
pub mod two_sample;
pub mod units;

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

/// The counts of one arm: requests, and the events among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests.
    pub n: u64,
    /// Requests that were events; never more than `n`.
    pub events: u64,
}

impl Counts {
    /// Adds counts of another server or of a later time.
    pub fn add(&mut self, other: Self) {
        self.n += other.n;
        self.events += other.events;
    }

    /// Returns this multiple of the counts, rounded.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast saturates, and counts stay far below 2^64"
    )]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |n: u64| (n as f64 * factor).round() as u64;
        Self {
            n: scale(self.n),
            events: scale(self.events),
        }
    }

    /// Returns the events per request; `None` without requests.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.n > 0).then(|| self.events as f64 / self.n as f64)
    }
}

/// The counts of both arms over the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCounts {
    /// The version that served before.
    pub stable: Counts,
    /// The version on trial.
    pub candidate: Counts,
}

impl ArmCounts {
    /// Adds counts of another server or of a later time.
    pub fn add(&mut self, other: Self) {
        self.stable.add(other.stable);
        self.candidate.add(other.candidate);
    }

    /// Returns this multiple of the counts, rounded.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            stable: self.stable.scaled(factor),
            candidate: self.candidate.scaled(factor),
        }
    }

    /// Returns the candidate's share of the requests; 0 without requests.
    #[must_use]
    pub fn candidate_share(self) -> f64 {
        let n = self.stable.n + self.candidate.n;
        if n == 0 {
            return 0.0;
        }
        self.candidate.n as f64 / n as f64
    }
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// Returns ln of the mean of exp(x), which joins evidence at several alternatives into one number.
///
/// Minus infinity without values.
#[must_use]
pub fn ln_mean_exp(values: &[f64]) -> f64 {
    ln_weighted_mean_exp(values.iter().map(|&value| (value, 1.0)))
}

/// Returns ln(sum of w * exp(x) / sum of w) of pairs (x, w): a mean of e-values with weights fixed
/// beforehand is an e-value under any dependence.
///
/// Minus infinity without values.
#[must_use]
pub fn ln_weighted_mean_exp(values: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let weights: f64 = values.clone().map(|(_, weight)| weight).sum();
    ln_sum_exp(values.map(|(value, weight)| (value, weight / weights)))
}

/// Returns ln(sum of w * exp(x)) of pairs (x, w); minus infinity without values.
fn ln_sum_exp(values: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let all = values.clone().map(|(value, _)| value);
    let largest = all.fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let scaled = values.map(|(value, weight)| weight * (value - largest).exp());
    largest + scaled.sum::<f64>().ln()
}

/// Returns ln B(a, b) = ln Gamma(a) + ln Gamma(b) - ln Gamma(a + b).
fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Returns the value in [`low`, `high`] at which `is_right` turns from false to true.
fn bisect(mut low: f64, mut high: f64, is_right: impl Fn(f64) -> bool) -> f64 {
    // 52 halvings are the bits of a number between 0 and 1; rates need no finer resolution than
    // 1e-11.
    for _ in 0..52 {
        if high - low < 1e-11 {
            break;
        }
        let middle = low + (high - low) / 2.0;
        match is_right(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests;
