//! Totals of pairs of answers: one request, answered by both versions.

use serde::{Deserialize, Serialize};
use stats::Counts;

use crate::evidence::Pairs;

/// Totals over all pairs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairTotals {
    /// Pairs that both answered.
    pub n_answered: u64,
    /// Of those, with answers that differ.
    pub n_differing: u64,
    /// Of those, with outputs of another name, type or shape.
    pub n_other_shape: u64,
    /// Of those, with NaN or infinity in the outputs of the candidate alone.
    pub n_nan: u64,
    /// Of those, where stable was slower.
    pub n_stable_slower: u64,
    /// Of those, where the candidate was slower.
    pub n_candidate_slower: u64,
    /// Pairs that stable alone failed to answer.
    pub n_stable_failed: u64,
    /// Pairs that the candidate alone failed to answer.
    pub n_candidate_failed: u64,
}

impl PairTotals {
    /// Adds the pairs of another server.
    pub(super) fn add(&mut self, other: &Self) {
        self.n_answered += other.n_answered;
        self.n_differing += other.n_differing;
        self.n_other_shape += other.n_other_shape;
        self.n_nan += other.n_nan;
        self.n_stable_slower += other.n_stable_slower;
        self.n_candidate_slower += other.n_candidate_slower;
        self.n_stable_failed += other.n_stable_failed;
        self.n_candidate_failed += other.n_candidate_failed;
    }

    /// Returns the difference to `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            n_answered: self.n_answered - earlier.n_answered,
            n_differing: self.n_differing - earlier.n_differing,
            n_other_shape: self.n_other_shape - earlier.n_other_shape,
            n_nan: self.n_nan - earlier.n_nan,
            n_stable_slower: self.n_stable_slower - earlier.n_stable_slower,
            n_candidate_slower: self.n_candidate_slower - earlier.n_candidate_slower,
            n_stable_failed: self.n_stable_failed - earlier.n_stable_failed,
            n_candidate_failed: self.n_candidate_failed - earlier.n_candidate_failed,
        }
    }

    /// Returns the number of pairs that are evidence.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n_answered + self.n_stable_failed + self.n_candidate_failed
    }

    /// Returns the pairs that both versions answered, with those that differ as events.
    #[must_use]
    pub fn differing(&self) -> Counts {
        Counts {
            n: self.n_answered,
            events: self.n_differing,
        }
    }

    /// Returns the pairs in which one version alone failed.
    #[must_use]
    pub fn failures(&self) -> Pairs {
        Pairs {
            n: self.n(),
            stable_alone: self.n_stable_failed,
            candidate_alone: self.n_candidate_failed,
        }
    }
}
