//! Splits of rollouts: their observations are kept apart for each weight and epoch.
//!
//! Decision: a change of the weight or the epoch starts a new split with counters of its own. A
//! request counts where it was assigned, also when it ends after the change, so every count has one
//! known weight.

use std::sync::Arc;

use bytes::Bytes;
use contract::{Result, Split, UnitSource};
use stats::assignment::Assigner;
use stats::histogram::bucket_of;
use stats::observation::{FirstRequest, UnitEvent, UnitObservation};

use super::{ActiveArm, ActiveSplit, AssignmentHistory, PeriodStart};
use crate::route::counters::{ArmCounters, AssignedUnit, Outcome, OutputSummary};
use crate::route::seen_units::SeenUnits;
use crate::route::unit_log::UnitLog;

/// Observations of one arm of a rollout in one segment.
#[derive(Debug)]
pub(super) struct RolloutSample {
    is_candidate: bool,
    /// Requests without a unit; `None` where no request has one, so that all of them count.
    pub(super) without_unit: Option<ArmCounters>,
    log: Arc<UnitLog>,
}

impl RolloutSample {
    /// Records a request, or the first request of a unit whose outcome is unknown.
    pub(super) fn record(&self, outcome: &Outcome<'_>, summary: Option<OutputSummary>) {
        let is_failure = outcome.error.is_some_and(|code| !code.is_client_mistake());
        let Some(AssignedUnit {
            fingerprint,
            is_first,
        }) = outcome.unit
        else {
            if let Some(counters) = &self.without_unit {
                counters.record(outcome);
            }
            return;
        };
        let add = |event| {
            self.log.add(UnitObservation {
                fingerprint,
                is_candidate: self.is_candidate,
                event,
            });
        };
        if is_first {
            let has_result = is_failure || summary.is_some();
            let first = has_result.then(|| first_request(outcome, summary));
            add(UnitEvent::FirstRequest(first));
        }
        if is_failure {
            add(UnitEvent::FirstError);
        }
    }
}

fn first_request(outcome: &Outcome<'_>, summary: Option<OutputSummary>) -> FirstRequest {
    let timings = outcome.timings.unwrap_or_default();
    let bin = summary.and_then(|summary| summary.first_bin);
    FirstRequest {
        is_error: summary.is_none(),
        latencies: [outcome.latency, timings.queue, timings.compute].map(bucket_of),
        output_bin: bin.and_then(|bin| u8::try_from(bin).ok()),
    }
}

impl ActiveArm {
    /// Returns the counters of the requests that are observations of their own: all of them, or
    /// those without a unit.
    pub(crate) fn observed_requests(&self) -> &ArmCounters {
        let sample = self.sample.as_ref();
        let without_unit = sample.and_then(|sample| sample.without_unit.as_ref());
        without_unit.unwrap_or(&self.counters)
    }
}

impl ActiveSplit {
    /// Creates the first segment of a rollout from a split of candidate and stable.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    pub(crate) fn of_rollout(split: Split) -> Result<Self> {
        Self::of_segment(split, Arc::default(), Arc::default(), Arc::default())
    }

    /// Returns the split of the next segment. Feedback still finds earlier answers; within an epoch
    /// no unit is observed twice.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    pub(crate) fn next_segment(&self, split: Split, is_new_epoch: bool) -> Result<Self> {
        let history = Arc::clone(&self.history);
        match is_new_epoch {
            true => Self::of_segment(split, history, Arc::default(), Arc::default()),
            false => {
                let failed_units = self.log().map_or_else(Arc::default, UnitLog::failed_units);
                Self::of_segment(split, history, Arc::clone(&self.seen_units), failed_units)
            }
        }
    }

    fn of_segment(
        split: Split,
        history: Arc<AssignmentHistory>,
        seen_units: Arc<SeenUnits>,
        failed_units: Arc<SeenUnits>,
    ) -> Result<Self> {
        let assigner = Assigner::new(&split, "")?;
        let log = Arc::new(UnitLog::new(failed_units));
        let has_units = split.unit.source != UnitSource::Random;
        let arms = (0..).zip(&split.arms).map(|(number, arm)| {
            Arc::new(ActiveArm {
                name: Bytes::copy_from_slice(arm.name.as_bytes()),
                counters: Arc::default(),
                number,
                history: Arc::clone(&history),
                sample: Some(RolloutSample {
                    is_candidate: number == 0,
                    without_unit: has_units.then(ArmCounters::default),
                    log: Arc::clone(&log),
                }),
            })
        });
        Ok(Self {
            arms: arms.collect(),
            propensities: Vec::new(),
            weights: split.arms.iter().map(|arm| arm.weight).collect(),
            period_start: PeriodStart {
                units: vec![0; split.arms.len()],
                ln_mismatch: 0.0,
            },
            split,
            assigner,
            history,
            seen_units,
        })
    }

    fn log(&self) -> Option<&UnitLog> {
        let sample = self.arms.first()?.sample.as_ref()?;
        Some(&sample.log)
    }

    /// Takes the observations of units since the last call.
    pub(crate) fn take_unit_observations(&self) -> Vec<UnitObservation> {
        self.log().map_or_else(Vec::new, UnitLog::take)
    }
}

#[cfg(test)]
mod tests;
