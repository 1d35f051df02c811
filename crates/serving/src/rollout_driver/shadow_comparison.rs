//! Comparison of pairs of answers: one request, answered by both versions.
//!
//! Rule: two answers of a classifier agree when the classes do, and other answers when all numbers
//! lie within the tolerance. When only one version fails, that is an event for it. Runs slower by
//! more than a tenth are counted for display and are no evidence: a shadow request runs under other
//! conditions than its original.

use std::time::Duration;

use contract::NamedTensor;
use rollout::evidence::Pairs;
use stats::Counts;
use stats::comparison::{self, Tolerance};

use crate::route::{MirroredResponse, is_not_finite};

/// Totals over all pairs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PairTotals {
    /// Pairs that both answered.
    n_answered: u64,
    /// Of those, with answers that differ.
    n_differing: u64,
    /// Of those, with outputs of another name, type or shape.
    pub(super) n_other_shape: u64,
    /// Of those, with NaN or infinity in the outputs of the candidate alone.
    pub(super) n_nan: u64,
    /// Of those, where stable was slower.
    stable_slower: u64,
    /// Of those, where the candidate was slower.
    candidate_slower: u64,
    /// Pairs that stable alone failed to answer.
    stable_failed: u64,
    /// Pairs that the candidate alone failed to answer.
    candidate_failed: u64,
}

impl PairTotals {
    /// Counts a pair that both versions answered.
    pub(super) fn both_answered(
        &mut self,
        stable: &MirroredResponse,
        candidate: &MirroredResponse,
        tolerance: Tolerance,
    ) {
        let pair = comparison::compare(&stable.outputs, &candidate.outputs, tolerance);
        self.n_answered += 1;
        self.n_other_shape += u64::from(!pair.has_same_shape);
        self.n_differing += u64::from(!agree(&stable.outputs, &candidate.outputs, pair.agrees));
        let is_new = has_non_finite(&candidate.outputs) && !has_non_finite(&stable.outputs);
        self.n_nan += u64::from(is_new);
        self.stable_slower += u64::from(is_slower(stable.infer, candidate.infer));
        self.candidate_slower += u64::from(is_slower(candidate.infer, stable.infer));
    }

    /// Counts a pair of which at least one version failed.
    pub(super) fn failed(&mut self, stable_failed: bool, candidate_failed: bool) {
        match (stable_failed, candidate_failed) {
            (true, false) => self.stable_failed += 1,
            (false, true) => self.candidate_failed += 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Returns the difference to `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            n_answered: self.n_answered - earlier.n_answered,
            n_differing: self.n_differing - earlier.n_differing,
            n_other_shape: self.n_other_shape - earlier.n_other_shape,
            n_nan: self.n_nan - earlier.n_nan,
            stable_slower: self.stable_slower - earlier.stable_slower,
            candidate_slower: self.candidate_slower - earlier.candidate_slower,
            stable_failed: self.stable_failed - earlier.stable_failed,
            candidate_failed: self.candidate_failed - earlier.candidate_failed,
        }
    }

    /// Returns the number of pairs that are evidence.
    pub(super) fn n(&self) -> u64 {
        self.n_answered + self.stable_failed + self.candidate_failed
    }

    /// Returns the pairs that both versions answered, with those that differ as events.
    pub(super) fn differing(&self) -> Counts {
        Counts {
            n: self.n_answered,
            events: self.n_differing,
        }
    }

    /// Returns the pairs in which one version alone failed.
    pub(super) fn failures(&self) -> Pairs {
        Pairs {
            n: self.n(),
            stable_alone: self.stable_failed,
            candidate_alone: self.candidate_failed,
        }
    }

    /// Returns the number of pairs in which stable was slower, and in which the candidate was.
    pub(super) fn slower(&self) -> [u64; 2] {
        [self.stable_slower, self.candidate_slower]
    }
}

/// Returns whether two answers agree: by their classes where they have some, else by all numbers.
fn agree(stable: &[NamedTensor], candidate: &[NamedTensor], all_numbers_agree: bool) -> bool {
    if all_numbers_agree || !comparison::has_class_output(stable) {
        return all_numbers_agree;
    }
    let n_rows = stable.first().map_or(0, |output| output.tensor.n_rows());
    let mut rows = 0..n_rows;
    rows.all(|row| comparison::same_class(stable, candidate, row).unwrap_or(false))
}

fn is_slower(this: Duration, other: Duration) -> bool {
    this > other + other / 10
}

fn has_non_finite(outputs: &[NamedTensor]) -> bool {
    outputs.iter().any(|output| is_not_finite(&output.tensor))
}

#[cfg(test)]
mod tests;
