//! Text exposition of all series for a scraper.
//!
//! Decision: OpenMetrics text. Its samples have the names of [`Metric::name`], so that plain
//! Prometheus and a search with `grep` find the names of the docs.

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::histogram::Histogram;
use super::names::Metric;
use super::process::ProcessFigures;
use super::samples::write;
use super::series::{Registry, VersionSeries};

impl Collector for Registry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode_versions(self, &mut encoder)?;
        self.admission.encode(&mut encoder)?;
        encode_dialects(self, &mut encoder)?;
        self.rollouts.encode(&mut encoder)?;
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

fn version_counters() -> [(Metric, ReadCounters); 3] {
    [
        (Metric::Predictions, |series| series.outcomes.read()),
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

fn encode_dialects(registry: &Registry, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let dialects = registry.dialects();
    write(encoder, Metric::Calls, |samples| {
        for (dialect, series) in &dialects {
            for (status, count) in series.outcomes.read() {
                samples.counter(&[dialect, status], &count)?;
            }
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
