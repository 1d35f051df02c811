//! Counts of all requests since the last sample, for guards and alarms, which need no statistics.
//!
//! Rule: totals only grow, and a sample is the difference to the last one. Recovery: the totals of
//! a process begin at zero.

use std::collections::BTreeMap;
use std::time::Duration;

use stats::Counts;
use stats::arm_totals::ArmTotals;
use stats::means::difference::Moments;

use super::observations::Arms;
use super::pair_totals::PairTotals;
use crate::config::{MetricKind, RolloutConfig, ShareEvent, ShareRule};
use crate::state::{Event, GuardReadings};

/// Number of answers above a percentile from which it is frozen, but not before [`MIN_ANSWERS`].
const ANSWERS_ABOVE: f64 = 5.0;

/// Lowest number of answers for a percentile: half a dozen answers have none.
const MIN_ANSWERS: u64 = 100;

/// Totals of all requests since the start.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Requests by arm, also repeated ones of one unit.
    pub arms: Arms<ArmTotals>,
    /// Pairs of answers to requests that both versions ran.
    pub pairs: PairTotals,
}

/// Counts of all requests since the last sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Deltas {
    /// Requests that the candidate answered.
    pub(super) n_candidate_requests: u64,
    /// Errors and requests of stable.
    pub(super) stable: Counts,
    /// Pairs of answers.
    pub(super) pairs: PairTotals,
    /// Rewards of both arms.
    pub(super) rewards: Arms<Moments>,
    /// Readings for the guards.
    pub(super) guards: GuardReadings,
}

/// Computes the differences between consecutive samples.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterDeltas {
    last: Totals,
}

impl CounterDeltas {
    /// Returns the counts since the last sample.
    pub(super) fn sample(&mut self, now: Totals) -> Deltas {
        let last = std::mem::replace(&mut self.last, now);
        let Totals { arms, pairs } = &self.last;
        let Arms { stable, candidate } = arms.since(&last.arms);
        let pairs = pairs.since(&last.pairs);
        Deltas {
            n_candidate_requests: candidate.requests().n,
            stable: stable.requests(),
            pairs,
            rewards: Arms {
                stable: stable.rewards,
                candidate: candidate.rewards,
            },
            guards: GuardReadings {
                nan_output: candidate.n_nan + pairs.n_nan,
                shape_change: pairs.n_other_shape,
                ..GuardReadings::default()
            },
        }
    }
}
/// Returns an event for each latency threshold that can be frozen now.
pub(super) fn thresholds(
    config: &RolloutConfig,
    frozen: &BTreeMap<String, Duration>,
    stable: &ArmTotals,
) -> Vec<Event> {
    let open = config
        .metrics
        .iter()
        .filter(|metric| !frozen.contains_key(&metric.name));
    open.filter_map(|metric| {
        let MetricKind::Share(ShareRule {
            event: ShareEvent::LatencyOver { percentile, span },
            ..
        }) = metric.kind
        else {
            return None;
        };
        let share = f64::from(percentile) / 100.0;
        let histogram = stable.latency(span);
        let is_known =
            histogram.n() >= MIN_ANSWERS && histogram.n() as f64 * (1.0 - share) >= ANSWERS_ABOVE;
        let threshold = histogram.quantile(share).filter(|_| is_known)?;
        let metric = metric.name.clone();
        Some(Event::ThresholdFrozen { metric, threshold })
    })
    .collect()
}

#[cfg(test)]
mod tests;
