//! The comparison of versions: `POST /api/compare` and its report.
//!
//! Rule: an unknown value is `null`, and so is a difference that is not finite.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stats::comparison::{Accuracy, LabelReport, Latency, Median, OutputReport};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::rollout::Interval;
use crate::version::VersionText;

/// The versions to compare, and `items` or `recorded`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Comparison)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `model`, `versions`, and `items` or `recorded`"
)]
pub struct ComparisonRequest<'a> {
    /// The model.
    pub model: String,
    /// Two or more; the first one is the reference.
    pub versions: Vec<VersionText>,
    /// Bodies of `/predict`, up to 1000.
    #[serde(borrow, default)]
    #[schema(nullable = false, value_type = Option<Vec<serde_json::Value>>)]
    pub items: Option<Vec<&'a RawValue>>,
    /// The number of the next requests to record, up to 1000.
    #[serde(default)]
    #[schema(nullable = false)]
    pub recorded: Option<usize>,
    /// Seconds to wait for these, 30 when left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub timeout_s: Option<f64>,
    /// The right class of each item, or an array with one for each of its rows.
    #[serde(default)]
    pub labels: Vec<ItemLabels>,
    /// The absolute difference that numbers may have, 1e-5 when left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub atol: Option<f64>,
    /// The same as a share of the number of the reference, 1e-3 when left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub rtol: Option<f64>,
    /// Concurrent requests of a second run that measures the throughput.
    #[serde(default)]
    #[schema(nullable = false)]
    pub concurrency: Option<usize>,
    /// The seed of the order of the versions, which is shuffled for each item; 0 when left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub seed: Option<u64>,
}

/// The label of an item, or the labels of its rows.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a label (text or a number), or an array with one for each row"
)]
pub enum ItemLabels {
    /// One for each row.
    Rows(Vec<ItemLabel>),
    /// The only one.
    Row(ItemLabel),
}

/// A label: a name, or a number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ItemLabel {
    /// The number of a class.
    Number(i64),
    /// The same, as tables of numbers write it.
    Fraction(f64),
    /// The name of a class.
    Name(String),
}

// By hand: an integer is also a number, and matches both.
impl PartialSchema for ItemLabel {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Number]))
            .description(Some("A label: a name, or a number."))
            .into()
    }
}

impl ToSchema for ItemLabel {}

/// The report of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparisonReport {
    /// The model.
    pub model: String,
    /// The time at which the comparison ended.
    #[schema(format = DateTime)]
    pub compared_at: String,
    /// The source of the inputs.
    pub source: InputSource,
    /// The inputs that were given to every version.
    pub items: u64,
    /// Their rows.
    pub rows: u64,
    /// The absolute tolerance.
    pub atol: f64,
    /// The relative tolerance.
    pub rtol: f64,
    /// Concurrent requests of the second run.
    pub concurrency: usize,
    /// The seed of the order of the versions, which was shuffled for each item.
    pub seed: u64,
    /// The versions, in the order of the body.
    pub versions: Vec<VersionReport>,
    /// The reference compared with each other version.
    pub pairs: Vec<PairReport>,
}

/// The source of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// The body.
    Given,
    /// Requests of callers.
    Recorded,
}

/// The results of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparedVersion)]
pub struct VersionReport {
    /// The version.
    pub version: String,
    /// The version or label in the body.
    pub named: String,
    /// Answered items.
    pub answers: u64,
    /// Failed items.
    pub errors: u64,
    /// The first failure.
    #[schema(required)]
    pub first_error: Option<String>,
    /// Answered rows.
    pub rows: u64,
    /// Times in milliseconds, one item at a time.
    #[schema(required)]
    pub latency_ms: Option<LatencyReport>,
    /// Throughput, one item at a time: the median over the items.
    #[schema(required)]
    pub rows_per_second: Option<f64>,
    /// Throughput, several items at once: the median over the rounds.
    #[schema(required)]
    pub rows_per_second_concurrent: Option<f64>,
    /// Accuracy, with labels.
    #[schema(required)]
    pub accuracy: Option<AccuracyReport>,
    /// The modification time of the model file.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The SHA-256 hash of the model file, or of the list of its files.
    #[schema(required)]
    pub content_hash: Option<String>,
    /// The size in bytes.
    #[schema(required)]
    pub model_file_size: Option<u64>,
    /// The number of instances.
    pub instances: usize,
    /// True when the instances share one copy of the weights.
    pub has_shared_weights: bool,
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparedLatency)]
pub struct LatencyReport {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Percentiles 0, 5, ... 100.
    pub curve: Vec<f64>,
}

/// Correct answers among the labelled rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparedAccuracy)]
pub struct AccuracyReport {
    /// Rows whose class is their label.
    pub correct: u64,
    /// Rows that have a label; one that was not answered is not correct.
    pub labelled: u64,
    /// The share of correct rows.
    pub ratio: f64,
}

/// The reference compared with one other version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparedPair)]
pub struct PairReport {
    /// The reference.
    pub reference: String,
    /// The other version.
    pub other: String,
    /// The share of items whose outputs agree.
    pub agreement: f64,
    /// Items that both answered.
    pub pairs: u64,
    /// Items whose outputs agree.
    pub agreeing: u64,
    /// Items with the same names, types and shapes.
    pub same_shape: u64,
    /// Items that only the reference failed to answer.
    pub only_reference_failed: u64,
    /// Items that only the other version failed to answer.
    pub only_other_failed: u64,
    /// The outputs of the reference.
    pub outputs: Vec<OutputDifference>,
    /// Predicted classes, for classifiers.
    #[schema(required)]
    pub classes: Option<ClassAgreement>,
    /// Rows by correct version, with labels.
    #[schema(required)]
    pub labels: Option<LabelAgreement>,
    /// The latency of the other version divided by that of the reference: the median over the items.
    #[schema(required)]
    pub latency_ratio: Option<MedianRatio>,
    /// The first 100 items that differ, from 0.
    pub differing_items: Vec<u64>,
}

/// Differences of one output; `null` where a number was compared with one that is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputDifference {
    /// The name of the output.
    pub name: String,
    /// Compared elements.
    pub elements: u64,
    /// Elements out of tolerance.
    pub differing: u64,
    /// The largest difference.
    #[schema(required)]
    pub largest_absolute: Option<f64>,
    /// The largest difference, as a share of the number of the reference.
    #[schema(required)]
    pub largest_relative: Option<f64>,
    /// The mean difference.
    #[schema(required)]
    pub mean_absolute: Option<f64>,
}

/// Agreement of predicted classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassAgreement {
    /// The share of rows with the same class.
    pub agreement: f64,
    /// Rows for which both predict a class.
    pub rows: u64,
    /// Rows with the same class.
    pub same: u64,
    /// The 20 most frequent classes.
    pub confusion: Vec<Confusion>,
}

/// One cell of a confusion matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confusion {
    /// The class that the reference gives.
    pub reference: String,
    /// The class that the other version gives.
    pub other: String,
    /// The number of rows.
    pub rows: u64,
}

/// A median of ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MedianRatio {
    /// The median.
    pub median: f64,
    /// Its interval of 95 %; `null` with fewer than 6 items.
    #[schema(required)]
    pub interval: Option<Interval>,
}

/// Rows by correct version, and the difference of the accuracies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LabelAgreement {
    /// Both gave the label.
    pub both_correct: u64,
    /// Only the reference did.
    pub only_reference_correct: u64,
    /// Only the other version did.
    pub only_other_correct: u64,
    /// Neither did.
    pub neither_correct: u64,
    /// The accuracy of the other version minus that of the reference.
    #[schema(required)]
    pub accuracy_difference: Option<AccuracyDifference>,
}

/// A difference of two accuracies on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccuracyDifference {
    /// The difference, between -1 and 1.
    pub difference: f64,
    /// Its interval of 95 %.
    pub interval: Interval,
    /// The p-value of McNemar's exact test that both are equally accurate.
    pub p_value: f64,
}

impl From<&Latency> for LatencyReport {
    fn from(latency: &Latency) -> Self {
        Self {
            mean: millis(latency.mean),
            p50: millis(latency.p50),
            p95: millis(latency.p95),
            p99: millis(latency.p99),
            max: millis(latency.max),
            curve: latency.curve.iter().copied().map(millis).collect(),
        }
    }
}

impl From<&Accuracy> for AccuracyReport {
    fn from(accuracy: &Accuracy) -> Self {
        Self {
            correct: accuracy.n_correct,
            labelled: accuracy.n_labelled,
            ratio: accuracy.ratio(),
        }
    }
}

impl From<&OutputReport> for OutputDifference {
    fn from(output: &OutputReport) -> Self {
        let finite = |number: f64| number.is_finite().then_some(number);
        Self {
            name: output.name.clone(),
            elements: output.n_elements,
            differing: output.n_differing,
            largest_absolute: finite(output.largest_absolute),
            largest_relative: finite(output.largest_relative),
            mean_absolute: finite(output.mean_absolute),
        }
    }
}

impl From<&LabelReport> for LabelAgreement {
    fn from(labels: &LabelReport) -> Self {
        Self {
            both_correct: labels.n_both,
            only_reference_correct: labels.n_only_reference,
            only_other_correct: labels.n_only_other,
            neither_correct: labels.n_neither,
            accuracy_difference: labels
                .accuracy_difference()
                .map(|found| AccuracyDifference {
                    difference: found.difference,
                    interval: found.interval.into(),
                    p_value: found.p_value,
                }),
        }
    }
}

impl From<Median> for MedianRatio {
    fn from(ratio: Median) -> Self {
        Self {
            median: ratio.value,
            interval: ratio.interval.map(Into::into),
        }
    }
}

/// Returns milliseconds, rounded to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
