//! Sample-ratio mismatch: a test that the arms get the units that their weights promise.
//!
//! A mismatch means that the split itself is broken (a client that retries on one arm, a filter
//! behind the split), and then no comparison of the arms can be trusted. Rule of the sequential
//! form, with weights w0 and the prior c w0, c = 100:
//!
//! ```text
//! ln BF = lnB(c w0 + n) - lnB(c w0) - sum of n_i ln w0_i,  lnB(a) = sum of lnGamma(a_i) - lnGamma(sum of a_i)
//! ```
//!
//! Alarm at BF >= 1000. At a change of weights a new segment starts and its ln BF is added. Cold
//! start: 0. Arms without weight are left out. Rejected alternative: the chi-square test on
//! growing data, which raises a false alarm sooner or later; it is here for data of a fixed size.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::{checked_gamma_ur, ln_gamma};

/// The strength of the prior: a mismatch of about one part in ten is found fastest.
pub const CONCENTRATION: f64 = 100.0;

/// ln 1000, the limit that raises the alarm.
pub const LN_LIMIT: f64 = 6.907_755_278_982_137;

/// Returns ln BF of counts that came at constant weights.
#[must_use]
pub fn ln_bayes_factor(counts: &[u64], weights: &[f64], concentration: f64) -> f64 {
    let arms = || {
        counts
            .iter()
            .zip(weights)
            .filter(|&(_, &weight)| weight > 0.0)
    };
    let (mut evidence, mut n, mut prior) = (0.0, 0.0, 0.0);
    for (&count, &weight) in arms() {
        let (count, alpha) = (count as f64, concentration * weight);
        evidence += ln_gamma(alpha + count) - ln_gamma(alpha) - count * weight.ln();
        n += count;
        prior += alpha;
    }
    evidence - ln_gamma(prior + n) + ln_gamma(prior)
}

/// The chi-square statistic and its p-value for a sample of fixed size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquare {
    /// The sum of (observed - expected)^2 / expected.
    pub statistic: f64,
    /// The probability of a statistic as large by chance.
    pub p_value: f64,
}

/// Compares counts with weights of any scale; `None` with fewer than two arms that have weight, or
/// without counts.
#[must_use]
pub fn chi_square(counts: &[u64], weights: &[f64]) -> Option<ChiSquare> {
    let arms: Vec<_> = counts
        .iter()
        .zip(weights)
        .filter(|&(_, &weight)| weight > 0.0)
        .map(|(&count, &weight)| (count as f64, weight))
        .collect();
    let n: f64 = arms.iter().map(|(count, _)| count).sum();
    let weight_sum: f64 = arms.iter().map(|(_, weight)| weight).sum();
    let statistic: f64 = arms
        .iter()
        .map(|(count, weight)| (count, n * weight / weight_sum))
        .map(|(count, expected)| (count - expected).powi(2) / expected)
        .sum();
    let degrees = arms.len().checked_sub(1).filter(|&degrees| degrees > 0)? as f64;
    // The upper tail of chi-square is the upper regularised gamma function.
    let p_value = checked_gamma_ur(degrees / 2.0, statistic / 2.0).ok()?;
    Some(ChiSquare { statistic, p_value })
}

/// The running evidence of a mismatch between two arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// ln BF of the segments that have ended.
    ended: f64,
    weight: f64,
    stable: u64,
    candidate: u64,
}

impl Mismatch {
    /// Starts a segment in which the candidate has this weight.
    pub fn set_weight(&mut self, weight: f64) {
        *self = Self {
            ended: self.ln_bf(),
            weight,
            stable: 0,
            candidate: 0,
        };
    }

    /// Returns the weight of the candidate in the current segment.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Adds units that were assigned for the first time.
    pub fn add(&mut self, stable: u64, candidate: u64) {
        self.stable += stable;
        self.candidate += candidate;
    }

    /// Returns ln BF.
    #[must_use]
    pub fn ln_bf(&self) -> f64 {
        let is_split = self.weight > 0.0 && self.weight < 1.0;
        let current = match is_split {
            true => ln_bayes_factor(
                &[self.stable, self.candidate],
                &[1.0 - self.weight, self.weight],
                CONCENTRATION,
            ),
            false => 0.0,
        };
        self.ended + current
    }
}
