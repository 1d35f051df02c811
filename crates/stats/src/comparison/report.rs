//! Report of a comparison of versions, as plain numbers.

use std::time::Duration;

use contract::Error;

use super::class::Class;
use super::median::Median;

/// The report of a comparison: many inputs, answered by several versions.
#[derive(Clone, Debug)]
pub struct Report {
    /// The inputs that were given to every version.
    pub n_items: u64,
    /// The rows of those inputs.
    pub n_rows: u64,
    /// The versions in the order in which they were named; the first one is the reference.
    pub versions: Vec<VersionReport>,
    /// The reference compared with each of the others, in their order.
    pub pairs: Vec<PairReport>,
}

/// The results of one version.
#[derive(Clone, Debug, Default)]
pub struct VersionReport {
    /// Items that the version answered.
    pub n_answers: u64,
    /// Items that the version failed to answer.
    pub n_errors: u64,
    /// The first failure.
    pub first_error: Option<Error>,
    /// Rows that the version answered.
    pub n_rows: u64,
    /// The latency of the answers, one at a time; `None` without any.
    pub latency: Option<Latency>,
    /// The median of the rows per second of the answers, one at a time; `None` without any.
    pub rows_per_second: Option<f64>,
    /// The accuracy; `None` without labels, or when the answers have no class.
    pub accuracy: Option<Accuracy>,
}

/// The latency of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The mean.
    pub mean: Duration,
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The maximum.
    pub max: Duration,
    /// The percentiles 0, 5, 10, ... 100.
    pub curve: Vec<Duration>,
}

/// Returns the share of `part` in `whole`; 0 of nothing is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => float(part) / float(whole),
    }
}

/// The accuracy of predicted classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Rows whose class is their label.
    pub n_correct: u64,
    /// Rows that have a label; one that was not answered, or without a class, is not correct.
    pub n_labelled: u64,
}

impl Accuracy {
    /// Returns the accuracy, between 0 and 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        share(self.n_correct, self.n_labelled)
    }
}

/// The reference compared with one other version.
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
    /// Items that only the other version failed to answer.
    pub n_only_other_failed: u64,
    /// The outputs of the reference, in its order.
    pub outputs: Vec<OutputReport>,
    /// The comparison of the predicted classes; `None` when the outputs have no class.
    pub classes: Option<ClassReport>,
    /// The comparison with the labels; `None` where one of the two has no accuracy.
    pub labels: Option<LabelReport>,
    /// The latency of the other version divided by that of the reference, over the items that both
    /// answered; `None` without any.
    pub latency_ratio: Option<Median>,
    /// The indices of the first items that differ: in class, or in outputs where there is no class,
    /// or because one of the two failed.
    pub differing_items: Vec<u64>,
}

impl PairReport {
    /// Returns the share of items on which both agree; an item that a single version failed to
    /// answer counts as a disagreement.
    #[must_use]
    pub fn agreement(&self) -> f64 {
        let alone = self.n_only_reference_failed + self.n_only_other_failed;
        share(self.n_agreeing, self.n_pairs + alone)
    }
}

/// The differences of one output over all pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputReport {
    /// Its name.
    pub name: String,
    /// The elements that were compared.
    pub n_elements: u64,
    /// The elements that do not agree.
    pub n_differing: u64,
    /// The largest difference; infinite when a number is compared with one that is not finite.
    pub largest_absolute: f64,
    /// The largest difference as a share of the number of the reference.
    pub largest_relative: f64,
    /// The mean of the differences that are finite.
    pub mean_absolute: f64,
}

/// The comparison of predicted classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassReport {
    /// Rows for which both predict a class.
    pub n_rows: u64,
    /// Rows for which both predict the same class; tied scores count as the same.
    pub n_same: u64,
    /// The confusion table, of the most frequent classes only, in their order.
    pub confusion: Vec<Confusion>,
}

impl ClassReport {
    /// Returns the share of rows with the same class.
    #[must_use]
    pub fn agreement(&self) -> f64 {
        share(self.n_same, self.n_rows)
    }
}

/// One cell of the confusion table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// The class that the reference predicts.
    pub reference: Class,
    /// The class that the other version predicts.
    pub other: Class,
    /// The number of rows.
    pub n_rows: u64,
}

/// The comparison of two versions with the labels, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelReport {
    /// Both versions are correct.
    pub n_both: u64,
    /// Only the reference is correct.
    pub n_only_reference: u64,
    /// Only the other version is correct.
    pub n_only_other: u64,
    /// Neither is correct.
    pub n_neither: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one comparison are far below 2^52"
)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
