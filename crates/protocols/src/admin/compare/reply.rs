//! The report of a comparison, with the names of versions and classes.

use std::time::SystemTime;

use api::comparison::{
    ClassAgreement, ComparisonReport, Confusion, InputSource, PairReport, VersionReport,
};
use api::model::time_text;
use contract::Route;
use stats::comparison::{self, Class, ClassReport, Report};

use super::body::{CompareBody, Source};
use super::run::Throughput;

/// Builds the report that is sent at the time `now`.
pub(super) fn build(
    body: &CompareBody<'_>,
    routes: &[Route],
    report: &Report,
    throughput: &[Throughput],
    now: SystemTime,
) -> ComparisonReport {
    let versions = report.versions.iter().zip(routes).zip(&body.versions);
    let others = routes.iter().skip(1);
    ComparisonReport {
        model: body.model.to_string(),
        compared_at: time_text(now),
        source: match body.source {
            Source::Items(_) => InputSource::Given,
            Source::Recorded(_) => InputSource::Recorded,
        },
        items: report.n_items,
        rows: report.n_rows,
        atol: body.tolerance.absolute,
        rtol: body.tolerance.relative,
        concurrency: body.concurrency,
        seed: body.seed,
        versions: (0..)
            .zip(versions)
            .map(|(index, ((report, route), named))| VersionReport {
                rows_per_second_concurrent: throughput
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
    }
}

fn version(report: &comparison::VersionReport, route: &Route, named: &str) -> VersionReport {
    VersionReport {
        version: route.info.version.to_string(),
        named: named.to_owned(),
        answers: report.n_answers,
        errors: report.n_errors,
        first_error: report.first_error.as_ref().map(ToString::to_string),
        rows: report.n_rows,
        latency_ms: report.latency.as_ref().map(Into::into),
        rows_per_second: report.rows_per_second,
        rows_per_second_concurrent: None,
        accuracy: report.accuracy.as_ref().map(Into::into),
        created_at: time_text(route.info.created_at),
        content_hash: route.info.content_hash.clone(),
        model_file_size: route.info.file_bytes,
        instances: route.info.n_instances,
        has_shared_weights: route.info.session_layout.is_shared,
    }
}

fn pair(report: &comparison::PairReport, reference: &Route, other: &Route) -> PairReport {
    let classes = report.classes.as_ref();
    PairReport {
        reference: reference.info.version.to_string(),
        other: other.info.version.to_string(),
        agreement: report.agreement(),
        pairs: report.n_pairs,
        agreeing: report.n_agreeing,
        same_shape: report.n_same_shape,
        only_reference_failed: report.n_only_reference_failed,
        only_other_failed: report.n_only_other_failed,
        outputs: report.outputs.iter().map(Into::into).collect(),
        classes: classes.map(|classes| class_agreement(classes, reference, other)),
        labels: report.labels.as_ref().map(Into::into),
        latency_ratio: report.latency_ratio.map(Into::into),
        differing_items: report.differing_items.clone(),
    }
}

fn class_agreement(classes: &ClassReport, reference: &Route, other: &Route) -> ClassAgreement {
    // One set of names for both, so that the same class never looks like two.
    let namer = match reference.info.labels.is_empty() {
        true => other,
        false => reference,
    };
    let cells = classes.confusion.iter();
    ClassAgreement {
        agreement: classes.agreement(),
        rows: classes.n_rows,
        same: classes.n_same,
        confusion: cells
            .map(|cell| Confusion {
                reference: class_name(&cell.reference, namer),
                other: class_name(&cell.other, namer),
                rows: cell.n_rows,
            })
            .collect(),
    }
}

/// Returns the name of a class where it has one.
fn class_name(class: &Class, namer: &Route) -> String {
    let known = match class {
        Class::Name(name) => Some(name.as_str()),
        Class::Number(number) => usize::try_from(*number)
            .ok()
            .and_then(|index| namer.info.label(index)),
    };
    known.map_or_else(|| class.to_string(), str::to_owned)
}
