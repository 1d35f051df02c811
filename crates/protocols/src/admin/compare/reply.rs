//! The report as JSON. An unknown value is `null`, and so is a difference that is not finite.

use std::time::Duration;

use contract::{Error, Result, Route};
use serde::Serialize;
use stats::comparison::{
    Accuracy, Class, ClassReport, Confusion, LabelReport, Latency, OutputReport, PairReport,
    Report, VersionReport,
};

use super::body::{CompareBody, Source};
use super::run::Throughput;

#[derive(Serialize)]
struct CompareReply<'a> {
    model: &'a str,
    source: &'static str,
    items: u64,
    rows: u64,
    atol: f64,
    rtol: f64,
    concurrency: usize,
    versions: Vec<VersionReply<'a>>,
    pairs: Vec<PairReply<'a>>,
}

#[derive(Serialize)]
struct VersionReply<'a> {
    /// The version itself, when a label was sent.
    version: &'a str,
    /// The version or label that the body names.
    named: &'a str,
    answers: u64,
    errors: u64,
    first_error: Option<String>,
    rows: u64,
    latency_ms: Option<LatencyReply>,
    /// Throughput of one item at a time.
    rows_per_second: Option<f64>,
    /// Throughput of several items at once, when `concurrency` was sent.
    rows_per_second_together: Option<f64>,
    accuracy: Option<AccuracyReply>,
    /// The size in bytes.
    model_file_size: Option<u64>,
    instances: usize,
    has_shared_weights: bool,
}

#[derive(Serialize)]
struct LatencyReply {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
    curve: Vec<f64>,
}

#[derive(Serialize)]
struct AccuracyReply {
    correct: u64,
    labelled: u64,
    ratio: f64,
}

#[derive(Serialize)]
struct PairReply<'a> {
    reference: &'a str,
    other: &'a str,
    agreement: f64,
    pairs: u64,
    agreeing: u64,
    same_shape: u64,
    only_reference_failed: u64,
    only_other_failed: u64,
    outputs: Vec<OutputReply<'a>>,
    classes: Option<ClassReply<'a>>,
    labels: Option<LabelReply>,
    differing_items: &'a [u64],
}

#[derive(Serialize)]
struct OutputReply<'a> {
    name: &'a str,
    elements: u64,
    differing: u64,
    largest_absolute: Option<f64>,
    largest_relative: Option<f64>,
    mean_absolute: Option<f64>,
}

#[derive(Serialize)]
struct ClassReply<'a> {
    agreement: f64,
    rows: u64,
    same: u64,
    confusion: Vec<ConfusionReply<'a>>,
}

#[derive(Serialize)]
struct ConfusionReply<'a> {
    reference: ClassName<'a>,
    other: ClassName<'a>,
    rows: u64,
}

/// The name of a class where it has one.
#[derive(Serialize)]
#[serde(untagged)]
enum ClassName<'a> {
    Known(&'a str),
    Index(String),
}

#[derive(Serialize)]
struct LabelReply {
    both_correct: u64,
    only_reference_correct: u64,
    only_other_correct: u64,
    neither_correct: u64,
}

/// Encodes a report.
pub(super) fn encode(
    body: &CompareBody<'_>,
    routes: &[Route],
    report: &Report,
    throughput: &[Throughput],
) -> Result<Vec<u8>> {
    let versions = report.versions.iter().zip(routes).zip(&body.versions);
    let others = routes.iter().skip(1);
    let reply = CompareReply {
        model: body.model.as_str(),
        source: match body.source {
            Source::Items(_) => "given",
            Source::Recorded(_) => "recorded",
        },
        items: report.n_items,
        rows: report.n_rows,
        atol: body.tolerance.absolute,
        rtol: body.tolerance.relative,
        concurrency: body.concurrency,
        versions: (0..)
            .zip(versions)
            .map(|(index, ((report, route), named))| VersionReply {
                rows_per_second_together: throughput
                    .get::<usize>(index)
                    .and_then(Throughput::rows_per_second),
                ..version(report, route, named)
            })
            .collect(),
        pairs: match routes.first() {
            Some(reference) => report
                .pairs
                .iter()
                .zip(others)
                .map(|(report, other)| pair(report, reference, other))
                .collect(),
            None => Vec::new(),
        },
    };
    serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))
}

fn version<'a>(report: &'a VersionReport, route: &'a Route, named: &'a str) -> VersionReply<'a> {
    VersionReply {
        version: route.info.version.as_str(),
        named,
        answers: report.n_answers,
        errors: report.n_errors,
        first_error: report.first_error.as_ref().map(ToString::to_string),
        rows: report.n_rows,
        latency_ms: report.latency.as_ref().map(latency),
        rows_per_second: report.rows_per_second(),
        rows_per_second_together: None,
        accuracy: report.accuracy.as_ref().map(accuracy),
        model_file_size: route.info.file_bytes,
        instances: route.info.n_instances,
        has_shared_weights: route.info.session_layout.is_shared,
    }
}

fn latency(latency: &Latency) -> LatencyReply {
    LatencyReply {
        mean: millis(latency.mean),
        p50: millis(latency.p50),
        p95: millis(latency.p95),
        p99: millis(latency.p99),
        max: millis(latency.max),
        curve: latency.curve.iter().copied().map(millis).collect(),
    }
}

fn accuracy(accuracy: &Accuracy) -> AccuracyReply {
    AccuracyReply {
        correct: accuracy.n_correct,
        labelled: accuracy.n_labelled,
        ratio: accuracy.ratio(),
    }
}

fn pair<'a>(report: &'a PairReport, reference: &'a Route, other: &'a Route) -> PairReply<'a> {
    PairReply {
        reference: reference.info.version.as_str(),
        other: other.info.version.as_str(),
        agreement: report.agreement(),
        pairs: report.n_pairs,
        agreeing: report.n_agreeing,
        same_shape: report.n_same_shape,
        only_reference_failed: report.n_only_reference_failed,
        only_other_failed: report.n_only_other_failed,
        outputs: report.outputs.iter().map(output).collect(),
        classes: report
            .classes
            .as_ref()
            .map(|classes| class_reply(classes, reference, other)),
        labels: report.labels.as_ref().map(label_reply),
        differing_items: &report.differing_items,
    }
}

fn output(output: &OutputReport) -> OutputReply<'_> {
    let finite = |number: f64| number.is_finite().then_some(number);
    OutputReply {
        name: &output.name,
        elements: output.n_elements,
        differing: output.n_differing,
        largest_absolute: finite(output.largest_absolute),
        largest_relative: finite(output.largest_relative),
        mean_absolute: finite(output.mean_absolute),
    }
}

fn class_reply<'a>(
    classes: &'a ClassReport,
    reference: &'a Route,
    other: &'a Route,
) -> ClassReply<'a> {
    // One set of names for both, so that the same class never looks like two.
    let namer = match reference.info.labels.is_empty() {
        true => other,
        false => reference,
    };
    let cell = |cell: &'a Confusion| ConfusionReply {
        reference: class_name(&cell.reference, namer),
        other: class_name(&cell.other, namer),
        rows: cell.n_rows,
    };
    ClassReply {
        agreement: classes.agreement(),
        rows: classes.n_rows,
        same: classes.n_same,
        confusion: classes.confusion.iter().map(cell).collect(),
    }
}

fn class_name<'a>(class: &'a Class, namer: &'a Route) -> ClassName<'a> {
    let known = match class {
        Class::Name(name) => Some(name.as_str()),
        Class::Number(number) => usize::try_from(*number)
            .ok()
            .and_then(|index| namer.info.label(index)),
    };
    known.map_or_else(|| ClassName::Index(class.to_string()), ClassName::Known)
}

fn label_reply(labels: &LabelReport) -> LabelReply {
    LabelReply {
        both_correct: labels.n_both,
        only_reference_correct: labels.n_only_reference,
        only_other_correct: labels.n_only_other,
        neither_correct: labels.n_neither,
    }
}

/// Returns milliseconds, rounded to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
