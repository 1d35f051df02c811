//! The report of the server, as the terminal and the page use it.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) source: String,
    pub(super) items: u64,
    pub(super) rows: u64,
    pub(super) atol: f64,
    pub(super) rtol: f64,
    pub(super) concurrency: usize,
    pub(super) versions: Vec<VersionReport>,
    pub(super) pairs: Vec<PairReport>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionReport {
    pub(super) version: String,
    pub(super) named: String,
    pub(super) answers: u64,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) latency_ms: Option<Latency>,
    pub(super) rows_per_second: Option<f64>,
    pub(super) rows_per_second_together: Option<f64>,
    pub(super) accuracy: Option<Accuracy>,
    /// The size in bytes.
    pub(super) model_file_size: Option<u64>,
    pub(super) instances: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
    /// The percentiles 0, 5, ... 100 of the latency.
    pub(super) curve: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Accuracy {
    pub(super) correct: u64,
    pub(super) labelled: u64,
    pub(super) ratio: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct PairReport {
    pub(super) reference: String,
    pub(super) other: String,
    pub(super) agreement: f64,
    pub(super) pairs: u64,
    pub(super) agreeing: u64,
    pub(super) same_shape: u64,
    pub(super) only_reference_failed: u64,
    pub(super) only_other_failed: u64,
    pub(super) outputs: Vec<OutputReport>,
    pub(super) classes: Option<ClassReport>,
    pub(super) labels: Option<LabelReport>,
    pub(super) differing_items: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OutputReport {
    pub(super) name: String,
    pub(super) elements: u64,
    pub(super) differing: u64,
    pub(super) largest_absolute: Option<f64>,
    pub(super) largest_relative: Option<f64>,
    pub(super) mean_absolute: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ClassReport {
    pub(super) agreement: f64,
    pub(super) rows: u64,
    pub(super) same: u64,
    pub(super) confusion: Vec<Confusion>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Confusion {
    pub(super) reference: String,
    pub(super) other: String,
    pub(super) rows: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct LabelReport {
    pub(super) both_correct: u64,
    pub(super) only_reference_correct: u64,
    pub(super) only_other_correct: u64,
    pub(super) neither_correct: u64,
}

impl ClassReport {
    /// Returns the pairs of different classes, the most frequent first.
    pub(super) fn differences(&self) -> Vec<Confusion> {
        let differing = self.confusion.iter();
        let mut differing: Vec<_> = differing
            .filter(|cell| cell.reference != cell.other)
            .cloned()
            .collect();
        differing.sort_by_key(|cell| std::cmp::Reverse(cell.rows));
        differing
    }
}

/// Formats a share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Formats milliseconds with three significant digits or more.
pub(super) fn millis(time: f64) -> String {
    match time {
        time if time < 1.0 => format!("{time:.3}"),
        time if time < 100.0 => format!("{time:.2}"),
        time => format!("{time:.0}"),
    }
}

/// Formats a difference, or `not finite`.
pub(super) fn difference(number: Option<f64>) -> String {
    match number {
        None => "not finite".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(number) if (1e-3..1e4).contains(&number) => format!("{number:.4}"),
        Some(number) => format!("{number:.2e}"),
    }
}

/// Formats a rate, or a dash without one.
pub(super) fn rate(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.0}"))
}

/// Formats the size of a file.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn size(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if bytes < 1 << 20 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        assert_eq!([0.0412, 4.123, 412.3].map(millis), ["0.041", "4.12", "412"]);
        let differences = [None, Some(0.0), Some(0.12345), Some(1e-7), Some(2e6)].map(difference);
        assert_eq!(
            differences,
            ["not finite", "0", "0.1235", "1.00e-7", "2.00e6"]
        );
        assert_eq!([None, Some(1234.6)].map(rate), ["-", "1235"]);
        let sizes = [None, Some(1536), Some(3 << 20)].map(size);
        assert_eq!(sizes, ["-", "1.5 KiB", "3.0 MiB"]);
        assert_eq!(percent(0.9667), "96.7 %");
    }

    #[test]
    fn classes_that_differ_come_most_frequent_first() {
        let cell = |reference: &str, other: &str, rows| Confusion {
            reference: reference.to_owned(),
            other: other.to_owned(),
            rows,
        };
        let classes = ClassReport {
            agreement: 0.9,
            rows: 12,
            same: 9,
            confusion: vec![cell("1", "1", 9), cell("1", "2", 1), cell("2", "1", 2)],
        };
        let differences = classes.differences();
        let rows: Vec<_> = differences.iter().map(|cell| cell.rows).collect();
        assert_eq!(rows, [2, 1]);
    }
}
