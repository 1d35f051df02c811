//! Text exposition of all series for a scraper.
//!
//! Decision: the library writes OpenMetrics text, and the Prometheus text format follows from it.
//! The samples of both have the names of [`Metric::name`], so that a search with `grep` finds the
//! names of the docs.

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::histogram::Histogram;
use super::names::Metric;
use super::process::ProcessFigures;
use super::samples::{Samples, write};
use super::series::{Outcomes, Registry, VersionSeries};

/// The last line of OpenMetrics text.
pub(crate) const END_OF_OPEN_METRICS: &str = "# EOF\n";

/// Returns OpenMetrics text in the Prometheus text format 0.0.4, which has no end mark, and in
/// which a family of counters has the name of its samples.
pub(crate) fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let body = open_metrics.strip_suffix(END_OF_OPEN_METRICS);
    for line in body.unwrap_or(open_metrics).split_inclusive('\n') {
        match counter_head(line) {
            Some((head, rest)) => text.extend([head, "_total ", rest]),
            None => text.push_str(line),
        }
    }
    text
}

/// Splits a line with the help or the type of a counter after the name of its family.
fn counter_head(line: &str) -> Option<(&str, &str)> {
    let description = line
        .strip_prefix("# HELP ")
        .or(line.strip_prefix("# TYPE "))?;
    let (family, rest) = description.split_once(' ')?;
    let is_counter = |metric: &Metric| metric.name().strip_suffix("_total") == Some(family);
    Metric::ALL.iter().find(|metric| is_counter(metric))?;
    let head = line.strip_suffix(rest)?.trim_end();
    Some((head, rest))
}

impl Collector for Registry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode_versions(self, &mut encoder)?;
        self.admission.encode(&mut encoder)?;
        encode_dialects(self, &mut encoder)?;
        self.rollouts.encode(&mut encoder)?;
        write(&mut encoder, Metric::SharedStateUp, |samples| {
            let is_up = self.is_shared_state_up();
            is_up.map_or(Ok(()), |is_up| {
                samples.gauge(&[], f64::from(u8::from(is_up)))
            })
        })?;
        write(&mut encoder, Metric::LogLinesDropped, |samples| {
            samples.counter(&[], &self.n_dropped_log_lines.load(Ordering::Relaxed))
        })?;
        write(&mut encoder, Metric::BuildInfo, |samples| {
            samples.gauge(&[&self.server_version], 1.0)
        })?;
        match ProcessFigures::read() {
            Some(figures) => encode_process(&figures, &mut encoder),
            None => Ok(()),
        }
    }
}

fn encode_versions(registry: &Registry, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let versions = registry.versions();
    write(encoder, Metric::Predictions, |samples| {
        for (model, version, series) in &versions {
            let labels = [model.as_str(), version.as_str()];
            encode_outcomes(samples, &labels, &series.outcomes)?;
        }
        Ok(())
    })?;
    for (metric, read) in version_counters() {
        write(encoder, metric, |samples| {
            for (model, version, series) in &versions {
                for (value, count) in read(series) {
                    samples.counter(&[model.as_str(), version.as_str(), value], &count)?;
                }
            }
            Ok(())
        })?;
    }
    for (metric, read) in version_gauges() {
        write(encoder, metric, |samples| {
            versions.iter().try_for_each(|(model, version, series)| {
                samples.gauge(&[model.as_str(), version.as_str()], read(series))
            })
        })?;
    }
    for (metric, histogram) in version_histograms() {
        write(encoder, metric, |samples| {
            versions.iter().try_for_each(|(model, version, series)| {
                samples.histogram(&[model.as_str(), version.as_str()], histogram(series))
            })
        })?;
    }
    Ok(())
}

/// Reader of the counts of a version by the value of the last label.
type ReadCounters = fn(&VersionSeries) -> Vec<(&'static str, u64)>;

fn version_counters() -> [(Metric, ReadCounters); 2] {
    [
        (Metric::TerminatedRuns, VersionSeries::terminated_runs),
        (Metric::BatchVerifications, VersionSeries::verifications),
    ]
}

type ReadGauge = fn(&VersionSeries) -> f64;

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition has floating point numbers"
)]
fn version_gauges() -> [(Metric, ReadGauge); 4] {
    [
        (Metric::ModelLoaded, |series| {
            f64::from(u8::from(series.is_loaded()))
        }),
        (Metric::InFlight, |series| {
            series.n_in_flight().max(0) as f64
        }),
        (Metric::StuckInstances, |series| series.n_stuck() as f64),
        (Metric::ModelLoad, |series| series.load_time().as_secs_f64()),
    ]
}

type PickHistogram = fn(&VersionSeries) -> &Histogram;

fn version_histograms() -> [(Metric, PickHistogram); 4] {
    [
        (Metric::PredictionLatency, |series| &series.latency),
        (Metric::Queue, |series| &series.queue),
        (Metric::BatchRows, |series| &series.batch_rows),
        (Metric::BatchCompute, |series| &series.batch_compute),
    ]
}

/// Writes the counts of outcomes after the other labels: `success` has no code.
fn encode_outcomes(samples: &mut Samples<'_>, labels: &[&str], outcomes: &Outcomes) -> fmt::Result {
    for (code, count) in outcomes.read() {
        let outcome = match code {
            None => ["success", ""],
            Some(code) => ["error", code.as_str()],
        };
        samples.counter(&[labels, &outcome].concat(), &count)?;
    }
    Ok(())
}

fn encode_dialects(registry: &Registry, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let dialects = registry.dialects();
    write(encoder, Metric::Calls, |samples| {
        for (dialect, series) in &dialects {
            encode_outcomes(samples, &[dialect], &series.outcomes)?;
        }
        Ok(())
    })?;
    write(encoder, Metric::CallLatency, |samples| {
        dialects
            .iter()
            .try_for_each(|(dialect, series)| samples.histogram(&[dialect], &series.latency))
    })
}

fn encode_process(figures: &ProcessFigures, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    write(encoder, Metric::ProcessCpu, |samples| {
        samples.counter(&[], &figures.cpu_seconds)
    })?;
    let gauges = [
        (Metric::ProcessMemory, figures.memory_bytes),
        (Metric::ProcessOpenFiles, figures.n_open_files),
        (Metric::ProcessThreads, figures.n_threads),
        (Metric::ProcessStart, figures.start_seconds),
    ];
    gauges
        .into_iter()
        .try_for_each(|(metric, value)| write(encoder, metric, |samples| samples.gauge(&[], value)))
}
