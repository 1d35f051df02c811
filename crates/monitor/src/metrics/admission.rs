//! Admission levels and predicted waits of the versions, as recorded for the next exposition.
//!
//! Decision: the last readings replace all before them, so that a version that is no longer served
//! has no series, even if events of it are still under way. No request passes here.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use contract::{ModelName, SchedulingReading, Version};
use prometheus_client::encoding::DescriptorEncoder;

use super::names::Metric;
use super::samples::write;

/// The last readings, by model and version.
#[derive(Debug, Default)]
pub(crate) struct Admission(ArcSwap<Vec<Reading>>);

#[derive(Debug)]
struct Reading {
    model: ModelName,
    version: Version,
    wait_seconds: Option<f64>,
    level: f64,
}

impl Reading {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a level is a 32 bit number or -1, which floating point numbers hold exactly"
    )]
    fn new(reading: &SchedulingReading<'_>) -> Self {
        let wait = reading.scheduling.predicted_wait;
        Self {
            model: reading.model.clone(),
            version: reading.version.clone(),
            wait_seconds: wait.map(|wait| wait.as_secs_f64()),
            level: reading.scheduling.admission_level.number() as f64,
        }
    }
}

impl Admission {
    /// Replaces the recorded readings.
    pub(crate) fn record(&self, readings: &[SchedulingReading<'_>]) {
        let readings = readings.iter().map(Reading::new).collect();
        self.0.store(Arc::new(readings));
    }

    /// Writes all series.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let readings = self.0.load();
        let value = |metric, read: fn(&Reading) -> Option<f64>| (metric, read);
        let metrics = [
            value(Metric::PredictedWait, |reading| reading.wait_seconds),
            value(Metric::AdmissionLevel, |reading| Some(reading.level)),
        ];
        for (metric, read) in metrics {
            write(encoder, metric, |samples| {
                readings.iter().try_for_each(|reading| match read(reading) {
                    Some(value) => {
                        let labels = [reading.model.as_str(), reading.version.as_str()];
                        samples.gauge(&labels, value)
                    }
                    None => Ok(()),
                })
            })?;
        }
        Ok(())
    }
}
