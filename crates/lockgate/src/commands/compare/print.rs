//! Prints the report as tables.

use anyhow::Result;
use api::comparison::{
    ClassAgreement, ComparisonReport, Confusion, InputSource, OutputDifference, PairReport,
    VersionReport,
};
use report::comparison::sentences;
use report::number::{difference, millis, percent, rate, size};

use crate::commands::table::table;
use crate::output;

/// The most entries of a list that fits on a screen.
const MAX_LINES: usize = 10;

pub(super) fn print(report: &ComparisonReport) -> Result<()> {
    let source = match report.source {
        InputSource::Recorded => "recorded from traffic",
        InputSource::Given => "from a file",
    };
    output::line(format_args!(
        "{}: {} items with {} rows, {source}; order of the versions shuffled with seed {}; compared \
         at {}",
        report.model, report.items, report.rows, report.seed, report.compared_at
    ))?;
    print_versions(report)?;
    for pair in &report.pairs {
        print_pair(report, pair)?;
    }
    Ok(())
}

fn print_versions(report: &ComparisonReport) -> Result<()> {
    let together = format!("rows/s, {} at once", report.concurrency);
    let mut header = vec![
        "version", "answers", "errors", "correct", "p50 ms", "p95 ms", "p99 ms", "rows/s",
    ];
    if report.concurrency > 1 {
        header.push(&together);
    }
    header.push("model file");
    let mut rows = table(&header);
    for version in &report.versions {
        rows.add_row(version_row(version, report.concurrency > 1));
    }
    output::line(rows)?;
    for version in &report.versions {
        output::line(sentences::content(version))?;
    }
    for version in &report.versions {
        if let Some(error) = &version.first_error {
            output::line(format_args!(
                "version {} failed first with: {error}",
                version.version
            ))?;
        }
    }
    Ok(())
}

fn version_row(version: &VersionReport, is_together: bool) -> Vec<String> {
    let latency = version.latency_ms.as_ref();
    let accuracy = version.accuracy.as_ref();
    let mut row = vec![
        match version.named == version.version {
            true => version.version.clone(),
            false => format!("{} ({})", version.version, version.named),
        },
        version.answers.to_string(),
        version.errors.to_string(),
        accuracy.map_or("-".to_owned(), |accuracy| {
            let ratio = percent(accuracy.ratio);
            format!("{} of {} ({ratio})", accuracy.correct, accuracy.labelled)
        }),
    ];
    let times = latency.map(|latency| [latency.p50, latency.p95, latency.p99].map(millis));
    row.extend(times.unwrap_or_else(|| std::array::repeat("-".to_owned())));
    row.push(rate(version.rows_per_second));
    if is_together {
        row.push(rate(version.rows_per_second_concurrent));
    }
    row.push(size(version.model_file_size));
    row
}

fn print_pair(report: &ComparisonReport, pair: &PairReport) -> Result<()> {
    output::line(format_args!(
        "version {} compared with version {}",
        pair.other, pair.reference
    ))?;
    if let Some(classes) = &pair.classes {
        output::line(format_args!(
            "  same class: {} ({} of {} rows)",
            percent(classes.agreement),
            classes.same,
            classes.rows
        ))?;
    }
    output::line(format_args!(
        "  outputs agree within {} + {} of the number: {} ({} of {} items)",
        report.atol,
        report.rtol,
        percent(pair.agreement),
        pair.agreeing,
        pair.pairs
    ))?;
    let measured = [sentences::accuracy(pair), sentences::latency(pair)];
    for sentence in measured.into_iter().flatten().chain(remarks(pair)) {
        output::line(format_args!("  {sentence}"))?;
    }
    let header = [
        "output",
        "elements",
        "differing",
        "largest",
        "relative",
        "mean",
    ];
    let mut rows = table(&header);
    for output in &pair.outputs {
        rows.add_row(output_row(output));
    }
    output::line(rows)?;
    print_confusion(pair)
}

/// Returns remarks about failures, shapes, labels and differing items.
fn remarks(pair: &PairReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if pair.same_shape < pair.pairs {
        let n_other = pair.pairs - pair.same_shape;
        remarks.push(format!(
            "{n_other} pairs have other names, element types or shapes"
        ));
    }
    let failed = [
        (&pair.reference, pair.only_reference_failed),
        (&pair.other, pair.only_other_failed),
    ];
    for (version, n_failed) in failed.into_iter().filter(|(_, n_failed)| *n_failed > 0) {
        remarks.push(format!(
            "only version {version} failed to answer {n_failed} items"
        ));
    }
    if let Some(labels) = &pair.labels {
        remarks.push(format!(
            "correct: both {}, only {} {}, only {} {}, neither {}",
            labels.both_correct,
            pair.reference,
            labels.only_reference_correct,
            pair.other,
            labels.only_other_correct,
            labels.neither_correct
        ));
    }
    if !pair.differing_items.is_empty() {
        let items: Vec<_> = pair.differing_items.iter().map(u64::to_string).collect();
        let shown = items.iter().take(MAX_LINES).map(String::as_str);
        let more = match items.len() > MAX_LINES {
            true => ", ...",
            false => "",
        };
        let shown = shown.collect::<Vec<_>>().join(", ");
        remarks.push(format!("items that differ, from 0: {shown}{more}"));
    }
    remarks
}

fn output_row(output: &OutputDifference) -> [String; 6] {
    [
        output.name.clone(),
        output.elements.to_string(),
        output.differing.to_string(),
        difference(output.largest_absolute),
        difference(output.largest_relative),
        difference(output.mean_absolute),
    ]
}

fn print_confusion(pair: &PairReport) -> Result<()> {
    let differences = pair.classes.as_ref().map(differences);
    let Some(differences) = differences.filter(|differences| !differences.is_empty()) else {
        return Ok(());
    };
    let says = [&pair.reference, &pair.other].map(|version| format!("class of version {version}"));
    let [reference, other] = &says;
    let mut rows = table(&[reference, other, "rows"]);
    for cell in differences.into_iter().take(MAX_LINES) {
        rows.add_row([cell.reference, cell.other, cell.rows.to_string()]);
    }
    output::line(rows)?;
    Ok(())
}

/// Returns the pairs of different classes, the most frequent first.
fn differences(classes: &ClassAgreement) -> Vec<Confusion> {
    let differing = classes.confusion.iter();
    let mut differing: Vec<_> = differing
        .filter(|cell| cell.reference != cell.other)
        .cloned()
        .collect();
    differing.sort_by_key(|cell| std::cmp::Reverse(cell.rows));
    differing
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn pair(same_shape: u64, only_other_failed: u64, differing_items: &[u64]) -> PairReport {
        let pair = json!({
            "reference": "1", "other": "2", "agreement": 1.0, "pairs": 20, "agreeing": 20,
            "same_shape": same_shape, "only_reference_failed": 0,
            "only_other_failed": only_other_failed, "outputs": [], "classes": null,
            "labels": null, "latency_ratio": null, "differing_items": differing_items,
        });
        PairReport::deserialize(&pair).unwrap()
    }

    #[test]
    fn only_what_is_unusual_is_remarked() {
        assert_eq!(remarks(&pair(20, 0, &[])), [""; 0]);
        let remarks_text = remarks(&pair(19, 3, &[4, 7]));
        let expected = [
            "1 pairs have other names, element types or shapes",
            "only version 2 failed to answer 3 items",
            "items that differ, from 0: 4, 7",
        ];
        assert_eq!(remarks_text, expected);
        let many: Vec<u64> = (0..30).collect();
        let remarks_text = remarks(&pair(20, 0, &many)).join("");
        assert!(remarks_text.ends_with("8, 9, ..."), "{remarks_text}");
    }

    #[test]
    fn a_version_that_never_answered_has_dashes() {
        let version = json!({
            "version": "2", "named": "canary", "answers": 0, "errors": 5, "first_error": "why", "rows": 0,
            "latency_ms": null, "rows_per_second": null, "rows_per_second_concurrent": null,
            "accuracy": null, "created_at": "2026-12-01T08:00:00Z", "content_hash": null, "model_file_size": null, "instances": 1, "has_shared_weights": false,
        });
        let version = VersionReport::deserialize(&version).unwrap();
        let row = version_row(&version, true);
        let expected = ["2 (canary)", "0", "5", "-", "-", "-", "-", "-", "-", "-"];
        assert_eq!(row, expected);
        assert_eq!(version_row(&version, false).len(), expected.len() - 1);
    }

    #[test]
    fn classes_that_differ_come_most_frequent_first() {
        let cell = |reference: &str, other: &str, rows| Confusion {
            reference: reference.to_owned(),
            other: other.to_owned(),
            rows,
        };
        let classes = ClassAgreement {
            agreement: 0.9,
            rows: 12,
            same: 9,
            confusion: vec![cell("1", "1", 9), cell("1", "2", 1), cell("2", "1", 2)],
        };
        let differences = differences(&classes);
        let rows: Vec<_> = differences.iter().map(|cell| cell.rows).collect();
        assert_eq!(rows, [2, 1]);
    }
}
