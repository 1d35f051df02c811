//! Margin of "worse": a difference of the rates that is too small to matter is never worse, however
//! sure it is.
//!
//! Inputs: the counts of both arms, a level alpha, the difference that is tolerated, and the null
//! ratio r of the [`sprt`](crate::sprt) that the margin is used with. Rule: the candidate is above
//! the margin when, with [confidence sequences](crate::bernoulli) at alpha / 2 each,
//!
//! ```text
//! lower(candidate) > min(upper(stable), difference / (r - 1)) + difference
//! ```
//!
//! The rule of the reference has upper(stable) alone, and then needs up to twice as many requests
//! as the ratio. A stable rate above difference / (r - 1) need not be excluded: there, a candidate
//! within the difference is also within the ratio, which the sprt rejects at alpha by itself.
//!
//! Cold start: not above. Without a difference there is no margin: every candidate is above it.
//! Rejected alternative: a limit for the ratio alone, with which 1 error in 10,000 requests against
//! 3 is a rollback.

use crate::ArmCounts;
use crate::bernoulli::{ConfidenceSequence, TUNED_FOR};

/// A margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// The difference of the rates that is never worse; 0 for no margin.
    pub difference: f64,
    /// The null ratio of the sprt; at most 1 for none.
    pub null_ratio: f64,
    /// The probability that a candidate within the difference, but not within the null ratio, is
    /// ever above.
    pub alpha: f64,
}

impl Margin {
    /// Returns whether the candidate's rate is surely above that of stable by more than the margin.
    ///
    /// ```
    /// use stats::margin::Margin;
    /// use stats::{ArmCounts, Counts};
    ///
    /// let margin = Margin { difference: 0.001, null_ratio: 1.25, alpha: 0.001 };
    /// let arms = |events| ArmCounts {
    ///     stable: Counts { n: 90_000, events: 450 },
    ///     candidate: Counts { n: 10_000, events },
    /// };
    /// assert!(!margin.is_exceeded(arms(60)));
    /// assert!(margin.is_exceeded(arms(100)));
    /// ```
    #[must_use]
    pub fn is_exceeded(self, arms: ArmCounts) -> bool {
        if self.difference <= 0.0 {
            return true;
        }
        let (Some(stable), Some(candidate)) = (arms.stable.rate(), arms.candidate.rate()) else {
            return false;
        };
        let implied = match self.null_ratio > 1.0 {
            true => self.difference / (self.null_ratio - 1.0),
            false => f64::INFINITY,
        };
        // The rate is never above its upper end, so most calls end here, before the search.
        if candidate <= stable.min(implied) + self.difference {
            return false;
        }
        let sequence = ConfidenceSequence {
            alpha: self.alpha / 2.0,
            tuned_for: TUNED_FOR,
        };
        let bound = sequence.upper(arms.stable).min(implied) + self.difference;
        sequence.is_above(bound, arms.candidate)
    }
}

#[cfg(test)]
mod tests;
