use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// A report with every part, and with names that look like markup.
fn report() -> ComparisonReport {
    let version = |name: &str, ratio: f64| {
        json!({
            "version": name, "named": "<b>", "answers": 10, "errors": 1, "first_error": "a & b", "rows": 9,
            "latency_ms": {"mean": 1.0, "p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0,
                "curve": (1..=21).map(|n| f64::from(n) * 0.1).collect::<Vec<_>>()},
            "rows_per_second": 1000.0, "rows_per_second_concurrent": null,
            "accuracy": {"correct": 9, "labelled": 10, "ratio": ratio},
            "created_at": "2026-12-01T08:00:00Z", "content_hash": "ab12",
            "model_file_size": 2048, "instances": 1, "has_shared_weights": false,
        })
    };
    let output = |largest: Value| {
        json!({"name": "<y>", "elements": 10, "differing": 1, "largest_absolute": largest,
            "largest_relative": 0.1, "mean_absolute": 1e-9})
    };
    let report = json!({
        "model": "<digits>", "compared_at": "2026-12-01T09:00:00Z", "source": "given", "items": 10, "rows": 10, "atol": 1e-5, "rtol": 1e-3,
        "concurrency": 4, "seed": 7, "versions": [version("1", 0.9), version("2", 0.8)],
        "pairs": [{
            "reference": "1", "other": "2", "agreement": 0.9, "pairs": 10, "agreeing": 9,
            "same_shape": 9, "only_reference_failed": 0, "only_other_failed": 1,
            "outputs": [output(json!(0.5)), output(Value::Null), output(json!(0.0))],
            "classes": {"agreement": 0.9, "rows": 10, "same": 9, "confusion": [
                {"reference": "0", "other": "0", "rows": 9}, {"reference": "0", "other": "cat", "rows": 1}]},
            "labels": {"both_correct": 8, "only_reference_correct": 1, "only_other_correct": 0,
                "neither_correct": 1, "accuracy_difference": {"difference": -0.1,
                    "interval": {"lower": -0.35, "upper": 0.18}, "p_value": 1.0}},
            "latency_ratio": {"median": 1.25, "interval": {"lower": 1.1, "upper": 1.4}},
            "differing_items": [3],
        }],
    });
    ComparisonReport::deserialize(&report).unwrap()
}

#[test]
fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
    let page = page(&report());
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for name in ["<digits>", "<y>", "(<b>)", "a & b"] {
        assert!(!page.contains(name), "{name}");
    }
    assert!(page.contains("&lt;digits&gt;"));
}

#[test]
fn every_element_is_closed_and_every_number_is_one() {
    let page = page(&report());
    for tag in [
        "div", "table", "tr", "td", "th", "svg", "text", "g", "title", "p", "h3", "span",
    ] {
        let count = |start: String| page.matches(&start).count();
        let n_opened = count(format!("<{tag}>")) + count(format!("<{tag} "));
        assert_eq!(n_opened, count(format!("</{tag}>")), "{tag}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
}

#[test]
fn nothing_measured_makes_a_page_too() {
    let mut report = report();
    report.pairs.clear();
    for version in &mut report.versions {
        version.latency_ms = None;
        version.rows_per_second = None;
        version.accuracy = None;
    }
    assert!(!page(&report).contains("NaN"));
}

#[test]
fn differences_are_given_with_their_intervals() {
    let page = page(&report());
    for expected in [
        "accuracy of version 2 compared with version 1: -10.0 percentage points (95 % interval \
         -35.0 to +18.0), p = 1.000 by McNemar's test.",
        "version 2 takes 1.25 times as long as version 1 (95 % interval 1.10 to 1.40), the median \
         over the items.",
        "(seed 7)",
        "Compared at 2026-12-01T09:00:00Z.",
        "version 2: model file of 2026-12-01T08:00:00Z, SHA-256 ab12",
    ] {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
}

#[test]
fn many_versions_stand_in_the_table_alone() {
    let mut report = report();
    assert!(page(&report).contains("class=\"big\""));
    report.versions = vec![report.versions[0].clone(); MAX_CARD_VERSIONS + 1];
    assert!(!page(&report).contains("class=\"big\""));
}
