//! The samples of one metric, behind its name, kind and help text.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::Histogram;
use super::names::{Kind, Label, Metric};

/// Writes the head of a metric, then its samples.
pub(super) fn write(
    encoder: &mut DescriptorEncoder<'_>,
    metric: Metric,
    fill: impl FnOnce(&mut Samples<'_>) -> fmt::Result,
) -> fmt::Result {
    let (name, kind) = match metric.kind() {
        // The encoder appends the suffix again.
        Kind::Counter => (
            metric.name().trim_end_matches("_total"),
            MetricType::Counter,
        ),
        Kind::Gauge => (metric.name(), MetricType::Gauge),
        Kind::Histogram => (metric.name(), MetricType::Histogram),
    };
    fill(&mut Samples {
        keys: metric.labels(),
        encoder: encoder.encode_descriptor(name, metric.help(), None, kind)?,
    })
}

/// Writer of the samples of one metric.
pub(super) struct Samples<'a> {
    keys: &'static [Label],
    encoder: MetricEncoder<'a>,
}

impl Samples<'_> {
    pub(super) fn counter<V>(&mut self, labels: &[&str], value: &V) -> fmt::Result
    where
        V: prometheus_client::encoding::EncodeCounterValue,
    {
        self.labelled(labels, |sample| {
            sample.encode_counter::<NoLabelSet, V, f64>(value, None)
        })
    }

    pub(super) fn gauge(&mut self, labels: &[&str], value: f64) -> fmt::Result {
        self.labelled(labels, |sample| sample.encode_gauge(&value))
    }

    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> fmt::Result {
        let read = histogram.read();
        self.labelled(labels, |sample| {
            sample.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)
        })
    }

    fn labelled(
        &mut self,
        values: &[&str],
        encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if values.is_empty() {
            return encode(&mut self.encoder);
        }
        let keys = self.keys.iter().map(|key| key.as_str());
        let labels: Vec<_> = keys.zip(values.iter().copied()).collect();
        encode(&mut self.encoder.encode_family(&labels)?)
    }
}
