//! Builder of a report from many answered items.
//!
//! Decision: latencies are kept one by one, since a comparison has a bounded number of items and
//! its quantiles should be exact; everything else is a count or a sum.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::NamedTensor;
use contract::Result;

use super::class::{Class, has_class_output, predicted_class, same_class};
use super::median::Median;
use super::pair::{PairComparison, Tolerance, compare};
use super::report::{
    Accuracy, Confusion, Latency, OutputReport, PairReport, Report, VersionReport, float,
};

/// Maximum number of differing items that a report lists, more than a person reads.
const MAX_DIFFERING_ITEMS: usize = 100;

/// Maximum number of classes of a confusion table, which still fits a page.
const MAX_CLASSES: usize = 20;

/// Number of steps of the latency curve, of five percent each.
const CURVE_STEPS: usize = 20;

/// The answer of one version, with its latency.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The outputs, or the error.
    pub outputs: Result<Vec<NamedTensor>>,
    /// The time from the request to its end.
    pub latency: Duration,
}

/// One item: the same inputs, answered by every version.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The answers, the reference first.
    pub answers: &'a [Answer],
    /// The rows of the inputs.
    pub n_rows: usize,
    /// The right class of each row, when it is known; empty otherwise.
    pub labels: &'a [String],
}

/// A builder that counts items one after the other.
#[derive(Debug)]
pub struct ReportBuilder {
    tolerance: Tolerance,
    n_items: u64,
    n_rows: u64,
    versions: Vec<VersionReportBuilder>,
    pairs: Vec<PairReportBuilder>,
}

/// The counts of one version so far.
#[derive(Debug, Default)]
struct VersionReportBuilder {
    /// The names of the classes of the version, by class number; empty when there are none.
    class_names: Vec<String>,
    latencies: Vec<Duration>,
    /// The rows per second of each answer.
    rates: Vec<f64>,
    accuracy: Accuracy,
    /// Set when an answer had a class.
    has_classes: bool,
    report: VersionReport,
}

/// The comparison of the reference with another version so far. Fields of the report that will hold
/// means hold sums of differences until then.
#[derive(Debug, Default)]
struct PairReportBuilder {
    confusion: BTreeMap<(Class, Class), u64>,
    /// The latency of the other version divided by that of the reference, by item.
    latency_ratios: Vec<f64>,
    report: PairReport,
}

impl ReportBuilder {
    /// Starts without items; `class_names` has the names of the classes of each version, the
    /// reference first.
    #[must_use]
    pub fn new(class_names: Vec<Vec<String>>, tolerance: Tolerance) -> Self {
        let n_pairs = class_names.len().saturating_sub(1);
        let versions = class_names
            .into_iter()
            .map(|class_names| VersionReportBuilder {
                class_names,
                ..VersionReportBuilder::default()
            });
        Self {
            tolerance,
            n_items: 0,
            n_rows: 0,
            versions: versions.collect(),
            pairs: (0..n_pairs).map(|_| PairReportBuilder::default()).collect(),
        }
    }

    /// Counts one item.
    pub fn add(&mut self, item: &Item<'_>) {
        let versions = self.versions.iter_mut().zip(item.answers);
        let met: Vec<_> = versions
            .map(|(version, answer)| version.add(answer, item))
            .collect();
        if let ([reference, others @ ..], [met_first, met_others @ ..]) =
            (item.answers, met.as_slice())
        {
            let pairs = self.pairs.iter_mut().zip(others).zip(met_others);
            for ((pair, other), met_other) in pairs {
                let differs = pair.add(reference, other, item.n_rows, self.tolerance);
                if differs && pair.report.differing_items.len() < MAX_DIFFERING_ITEMS {
                    pair.report.differing_items.push(self.n_items);
                }
                pair.add_labels(met_first, met_other);
            }
        }
        self.n_items += 1;
        self.n_rows += count(item.n_rows);
    }

    /// Returns the report.
    #[must_use]
    pub fn finish(self) -> Report {
        let versions = self.versions.into_iter().map(VersionReportBuilder::finish);
        let versions: Vec<_> = versions.collect();
        let has_accuracy = |version: &VersionReport| version.accuracy.is_some();
        let has_reference = versions.first().is_some_and(has_accuracy);
        let pairs = self.pairs.into_iter().zip(versions.iter().skip(1));
        let pairs = pairs.map(|(pair, other)| pair.finish(has_reference && has_accuracy(other)));
        Report {
            n_items: self.n_items,
            n_rows: self.n_rows,
            pairs: pairs.collect(),
            versions,
        }
    }
}

impl VersionReportBuilder {
    /// Counts an answer; returns for each label whether the version predicts it. A version that
    /// failed to answer predicts none, so that failures never improve an accuracy.
    fn add(&mut self, answer: &Answer, item: &Item<'_>) -> Vec<bool> {
        let labels = item.labels.iter().take(item.n_rows).enumerate();
        let met: Vec<_> = match &answer.outputs {
            Ok(outputs) => {
                self.add_answer(answer.latency, item.n_rows);
                labels
                    .map(|(row, label)| self.predicts(outputs, row, label))
                    .collect()
            }
            Err(error) => {
                self.report.n_errors += 1;
                let first_error = &mut self.report.first_error;
                first_error.get_or_insert_with(|| error.clone());
                labels.map(|_| false).collect()
            }
        };
        self.accuracy.n_labelled += count(met.len());
        self.accuracy.n_correct += count(met.iter().filter(|&&is_met| is_met).count());
        met
    }

    fn add_answer(&mut self, latency: Duration, n_rows: usize) {
        self.report.n_answers += 1;
        self.report.n_rows += count(n_rows);
        self.latencies.push(latency);
        if !latency.is_zero() {
            self.rates
                .push(float(count(n_rows)) / latency.as_secs_f64());
        }
    }

    fn predicts(&mut self, outputs: &[NamedTensor], row: usize, label: &str) -> bool {
        let Some(class) = predicted_class(outputs, row) else {
            return false;
        };
        self.has_classes = true;
        self.is_label(&class, label)
    }

    /// Returns whether a label is the number or the name of a class.
    fn is_label(&self, class: &Class, label: &str) -> bool {
        let name = match class {
            Class::Name(name) => return name == label,
            Class::Number(number) => usize::try_from(*number)
                .ok()
                .and_then(|index| self.class_names.get(index)),
        };
        class.to_string() == label || name.is_some_and(|name| name == label)
    }

    fn finish(self) -> VersionReport {
        let is_classifier = self.has_classes || self.report.n_answers == 0;
        let has_accuracy = self.accuracy.n_labelled > 0 && is_classifier;
        VersionReport {
            latency: latency(self.latencies),
            rows_per_second: Median::of(self.rates).map(|median| median.value),
            accuracy: has_accuracy.then_some(self.accuracy),
            ..self.report
        }
    }
}

impl PairReportBuilder {
    /// Counts two answers; returns whether they differ and should be listed.
    fn add(
        &mut self,
        reference: &Answer,
        other: &Answer,
        n_rows: usize,
        tolerance: Tolerance,
    ) -> bool {
        match (&reference.outputs, &other.outputs) {
            (Ok(reference_outputs), Ok(other_outputs)) => {
                self.add_latencies(reference.latency, other.latency);
                let found = compare(reference_outputs, other_outputs, tolerance);
                self.add_outputs(&found);
                let is_same = self.add_classes(reference_outputs, other_outputs, n_rows);
                !is_same.unwrap_or(found.agrees)
            }
            (Err(_), Err(_)) => false,
            (Err(_), Ok(_)) => {
                self.report.n_only_reference_failed += 1;
                true
            }
            (Ok(_), Err(_)) => {
                self.report.n_only_other_failed += 1;
                true
            }
        }
    }

    fn add_latencies(&mut self, reference: Duration, other: Duration) {
        if !reference.is_zero() {
            let ratio = other.as_secs_f64() / reference.as_secs_f64();
            self.latency_ratios.push(ratio);
        }
    }

    fn add_outputs(&mut self, found: &PairComparison) {
        let report = &mut self.report;
        report.n_pairs += 1;
        report.n_agreeing += u64::from(found.agrees);
        report.n_same_shape += u64::from(found.has_same_shape);
        for output in &found.outputs {
            let known = report.outputs.iter().position(|o| o.name == output.name);
            let known = known.unwrap_or_else(|| {
                report.outputs.push(OutputReport {
                    name: output.name.clone(),
                    ..OutputReport::default()
                });
                report.outputs.len() - 1
            });
            if let Some(sum) = report.outputs.get_mut(known) {
                sum.n_elements += output.n_elements;
                sum.n_differing += output.n_differing;
                sum.largest_absolute = sum.largest_absolute.max(output.largest_absolute);
                sum.largest_relative = sum.largest_relative.max(output.largest_relative);
                sum.mean_absolute += output.sum_absolute;
            }
        }
    }

    /// Counts the classes of two answers; returns whether all are the same, where there are any.
    fn add_classes(
        &mut self,
        reference: &[NamedTensor],
        other: &[NamedTensor],
        n_rows: usize,
    ) -> Option<bool> {
        if !has_class_output(reference) || !has_class_output(other) {
            return None;
        }
        let mut all_same = None;
        for row in 0..n_rows {
            let is_same = same_class(reference, other, row)?;
            let classes = self.report.classes.get_or_insert_default();
            classes.n_rows += 1;
            classes.n_same += u64::from(is_same);
            all_same = Some(all_same.unwrap_or(true) && is_same);
            let met = (
                predicted_class(reference, row)?,
                predicted_class(other, row)?,
            );
            *self.confusion.entry(met).or_default() += 1;
        }
        all_same
    }

    fn add_labels(&mut self, reference: &[bool], other: &[bool]) {
        for (reference, other) in reference.iter().zip(other) {
            let labels = self.report.labels.get_or_insert_default();
            match (reference, other) {
                (true, true) => labels.n_both += 1,
                (true, false) => labels.n_only_reference += 1,
                (false, true) => labels.n_only_other += 1,
                (false, false) => labels.n_neither += 1,
            }
        }
    }

    /// Returns the report, without a comparison with the labels where a version has no accuracy.
    fn finish(self, has_accuracies: bool) -> PairReport {
        let mut report = self.report;
        report.latency_ratio = Median::of(self.latency_ratios);
        report.labels = report.labels.filter(|_| has_accuracies);
        for output in &mut report.outputs {
            if output.n_elements > 0 {
                output.mean_absolute /= float(output.n_elements);
            }
        }
        if let Some(classes) = &mut report.classes {
            classes.confusion = most_frequent(self.confusion);
        }
        report
    }
}

/// Returns the part of a confusion table that is about the most frequent classes.
fn most_frequent(confusion: BTreeMap<(Class, Class), u64>) -> Vec<Confusion> {
    let mut rows_of: BTreeMap<&Class, u64> = BTreeMap::new();
    for ((reference, other), n_rows) in &confusion {
        *rows_of.entry(reference).or_default() += n_rows;
        *rows_of.entry(other).or_default() += n_rows;
    }
    let mut by_rows: Vec<_> = rows_of.into_iter().collect();
    by_rows.sort_by_key(|(_, n_rows)| std::cmp::Reverse(*n_rows));
    let kept: BTreeSet<_> = by_rows
        .into_iter()
        .take(MAX_CLASSES)
        .map(|(class, _)| class.clone())
        .collect();
    confusion
        .into_iter()
        .filter(|((reference, other), _)| kept.contains(reference) && kept.contains(other))
        .map(|((reference, other), n_rows)| Confusion {
            reference,
            other,
            n_rows,
        })
        .collect()
}

fn latency(mut latencies: Vec<Duration>) -> Option<Latency> {
    latencies.sort_unstable();
    let max = *latencies.last()?;
    let total: Duration = latencies.iter().sum();
    let at_most = |percent: usize| {
        // The percentile is the smallest latency that so many of a hundred do not exceed.
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies.get(rank - 1).copied().unwrap_or(max)
    };
    Some(Latency {
        mean: total / u32::try_from(latencies.len()).unwrap_or(u32::MAX),
        p50: at_most(50),
        p95: at_most(95),
        p99: at_most(99),
        max,
        curve: (0..=CURVE_STEPS)
            .map(|step| at_most(step * 100 / CURVE_STEPS))
            .collect(),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
