//! What the comparison of versions found, as plain numbers.

use std::time::Duration;

use super::class::Class;
use contract::Error;

/// What many inputs through several versions have shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// The inputs that were given to every version.
    pub n_items: u64,
    /// Their rows.
    pub n_rows: u64,
    /// The versions in the order in which they were named; the first one is the reference.
    pub versions: Vec<VersionReport>,
    /// The reference beside each of the others, in their order.
    pub pairs: Vec<PairReport>,
}

/// What one version did.
#[derive(Clone, Debug, Default)]
pub struct VersionReport {
    /// Items that it answered.
    pub n_answers: u64,
    /// Items that it failed to answer.
    pub n_errors: u64,
    /// The first failure.
    pub first_error: Option<Error>,
    /// Rows that it answered.
    pub n_rows: u64,
    /// How long the answers took, one at a time; `None` without any.
    pub latency: Option<Latency>,
    /// How many labels it met; `None` when no row with a label was answered with a class.
    pub accuracy: Option<Accuracy>,
}

impl VersionReport {
    /// Rows in a second of running, one item at a time; `None` without any answer.
    #[must_use]
    pub fn rows_per_second(&self) -> Option<f64> {
        let seconds = self.latency.as_ref()?.total.as_secs_f64();
        (seconds > 0.0).then(|| float(self.n_rows) / seconds)
    }
}

/// How long answers took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// All of them together.
    pub total: Duration,
    /// The mean.
    pub mean: Duration,
    /// Half of them took at most this long.
    pub p50: Duration,
    /// 95 of a hundred took at most this long.
    pub p95: Duration,
    /// 99 of a hundred took at most this long.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// What 0, 5, 10, ... 100 of a hundred took at most.
    pub curve: Vec<Duration>,
}

/// The share of `part` in `whole`; 0 of nothing is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => float(part) / float(whole),
    }
}

/// How often a class was the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Rows whose class is their label.
    pub n_correct: u64,
    /// Rows that have a label and were answered with a class.
    pub n_labelled: u64,
}

impl Accuracy {
    /// Between 0 and 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        share(self.n_correct, self.n_labelled)
    }
}

/// The reference beside one other version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairReport {
    /// Items that both answered.
    pub n_pairs: u64,
    /// Pairs whose outputs all agree within the tolerance.
    pub n_agreeing: u64,
    /// Pairs whose outputs have the same names, element types and shapes.
    pub n_same_shape: u64,
    /// Items that only the reference failed to answer.
    pub n_only_reference_failed: u64,
    /// Items that only the other one failed to answer.
    pub n_only_other_failed: u64,
    /// The outputs of the reference, in its order.
    pub outputs: Vec<OutputReport>,
    /// How the predicted classes compare; `None` when the outputs tell none.
    pub classes: Option<ClassReport>,
    /// Which of the two met the labels; `None` without labels.
    pub labels: Option<LabelReport>,
    /// The first items that differ, by their places: in class, or in outputs where there is no
    /// class, or because one of the two failed.
    pub differing_items: Vec<u64>,
}

impl PairReport {
    /// The share of items on which both agree; one that a single version failed to answer counts as
    /// a disagreement.
    #[must_use]
    pub fn agreement(&self) -> f64 {
        let alone = self.n_only_reference_failed + self.n_only_other_failed;
        share(self.n_agreeing, self.n_pairs + alone)
    }
}

/// How one output differs over all pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputReport {
    /// Its name.
    pub name: String,
    /// The elements that were compared.
    pub n_elements: u64,
    /// Those that do not agree.
    pub n_differing: u64,
    /// The largest difference; infinite when a number met something that is not finite.
    pub largest_absolute: f64,
    /// The largest difference as a share of the number of the reference.
    pub largest_relative: f64,
    /// The mean of the differences that are finite.
    pub mean_absolute: f64,
}

/// How predicted classes compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassReport {
    /// Rows for which both predict a class.
    pub n_rows: u64,
    /// Rows for which it is the same; tied scores count as the same.
    pub n_same: u64,
    /// How often which class met which, the most frequent classes only, in their order.
    pub confusion: Vec<Confusion>,
}

impl ClassReport {
    /// The share of rows with the same class.
    #[must_use]
    pub fn agreement(&self) -> f64 {
        share(self.n_same, self.n_rows)
    }
}

/// How often one class of the reference met one class of the other version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// What the reference says.
    pub reference: Class,
    /// What the other version says.
    pub other: Class,
    /// How often.
    pub n_rows: u64,
}

/// Which of two versions met the labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelReport {
    /// Both did.
    pub n_both: u64,
    /// Only the reference did.
    pub n_only_reference: u64,
    /// Only the other one did.
    pub n_only_other: u64,
    /// Neither did.
    pub n_neither: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one comparison are far below 2^52"
)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
