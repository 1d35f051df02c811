//! Comparison of pairs of answers: one request, answered by both versions.
//!
//! Rule: two answers of a classifier agree when the classes do, and other answers when all numbers
//! lie within the tolerance. When only one version fails, that is an event for it. Runs slower by
//! more than a tenth are counted for display and are no evidence: a shadow request runs under other
//! conditions than its original.

use std::time::Duration;

use contract::NamedTensor;
use rollout::driver::PairTotals;
use stats::comparison::{self, Tolerance};

use crate::route::{MirroredResponse, is_not_finite};

/// Adds a pair that both versions answered.
pub(super) fn add_answers(
    totals: &mut PairTotals,
    stable: &MirroredResponse,
    candidate: &MirroredResponse,
    tolerance: Tolerance,
) {
    let pair = comparison::compare(&stable.outputs, &candidate.outputs, tolerance);
    let agrees = agree(&stable.outputs, &candidate.outputs, pair.agrees);
    let is_new = has_non_finite(&candidate.outputs) && !has_non_finite(&stable.outputs);
    totals.n_answered += 1;
    totals.n_other_shape += u64::from(!pair.has_same_shape);
    totals.n_differing += u64::from(!agrees);
    totals.n_nan += u64::from(is_new);
    totals.n_stable_slower += u64::from(is_slower(stable.infer, candidate.infer));
    totals.n_candidate_slower += u64::from(is_slower(candidate.infer, stable.infer));
}

/// Adds a pair of which at least one version failed.
pub(super) fn add_failure(totals: &mut PairTotals, stable_failed: bool, candidate_failed: bool) {
    match (stable_failed, candidate_failed) {
        (true, false) => totals.n_stable_failed += 1,
        (false, true) => totals.n_candidate_failed += 1,
        (true, true) | (false, false) => {}
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
