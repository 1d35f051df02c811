//! Blocks of counts for the decisions of a rollout, built from observations.
//!
//! Inputs: the observations of both arms, by weight, of units that were not counted before. Rule:
//! requests without a unit are counted one by one. Of a unit, the first request is counted once in
//! its epoch, and the first error once; both are left out when the unit was counted by an earlier
//! process. A slow request is one above a latency that was frozen once, from the stable arm, at an
//! edge of its histogram, so that counts are exact. Times of shadow requests are no evidence: a
//! shadow request runs alone, at another moment and on colder caches, so a healthy candidate looks
//! slower on a busy machine and faster on a quiet one. Cold start: no request is slow until stable
//! has enough answers to know its percentile. Recovery: the counted units are persisted with the
//! evidence made from them.

use std::collections::BTreeMap;
use std::time::Duration;

use stats::arm_totals::{ArmTotals, Span};
use stats::observation::UnitEvent;
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts};

use super::counter_deltas::Deltas;
use super::observations::{Arms, Observations};
use crate::config::{MetricKind, RolloutConfig, ShareEvent, ShareRule};
use crate::evidence::{Block, MetricBlock};

/// Observations of both arms, each unit counted once.
#[derive(Clone, Debug, Default, PartialEq)]
struct CountedArms {
    /// First requests of units, and requests without a unit.
    trials: Arms<ArmTotals>,
    /// First errors of units, and errors of requests without a unit.
    errors: Arms<u64>,
    /// Assigned units, and requests without a unit.
    assigned: Arms<u64>,
}

/// Builds the blocks of a sample: one for each weight.
pub(super) fn blocks(
    config: &RolloutConfig,
    thresholds: &BTreeMap<String, Duration>,
    observations: Vec<Observations>,
) -> Vec<Block> {
    let blocks = observations.into_iter().map(|observations| {
        let (weight, assignment_epoch) = (observations.weight, observations.assignment_epoch);
        let arms = count(observations);
        Block {
            weight,
            assignment_epoch,
            metrics: metrics(config, thresholds, &arms),
            units: arms.assigned,
        }
    });
    blocks.collect()
}

/// Adds shadow pairs and rewards to a block.
pub(super) fn add_deltas(config: &RolloutConfig, block: &mut Block, deltas: &Deltas) {
    let pairs = &deltas.pairs;
    for (metric, counts) in config.metrics.iter().zip(&mut block.metrics) {
        match (&metric.kind, counts) {
            (MetricKind::ShadowDiffers { .. }, counts) => {
                *counts = MetricBlock::Differing(pairs.differing());
            }
            (MetricKind::Share(rule), MetricBlock::Share { pairs: failed, .. })
                if rule.event == ShareEvent::Error =>
            {
                *failed = pairs.failures();
            }
            (MetricKind::Feedback { .. }, counts) => {
                let Arms { stable, candidate } = deltas.rewards;
                *counts = MetricBlock::Rewards { stable, candidate };
            }
            _ => {}
        }
    }
}

fn count(observations: Observations) -> CountedArms {
    let Observations {
        requests,
        assigned,
        units,
        ..
    } = observations;
    let mut arms = CountedArms {
        errors: Arms {
            stable: requests.stable.n_errors,
            candidate: requests.candidate.n_errors,
        },
        trials: requests,
        assigned,
    };
    for unit in units {
        match unit.event {
            UnitEvent::FirstRequest(first) => {
                *arms.assigned.of_mut(unit.is_candidate) += 1;
                if let Some(first) = first {
                    first.add_to(arms.trials.of_mut(unit.is_candidate));
                }
            }
            UnitEvent::FirstError => {
                *arms.errors.of_mut(unit.is_candidate) += 1;
            }
        }
    }
    arms
}

fn metrics(
    config: &RolloutConfig,
    thresholds: &BTreeMap<String, Duration>,
    arms: &CountedArms,
) -> Vec<MetricBlock> {
    let metrics = config.metrics.iter().map(|metric| match &metric.kind {
        MetricKind::Share(ShareRule {
            event: ShareEvent::Error,
            ..
        }) => MetricBlock::Share {
            trials: counts(&arms.trials, ArmTotals::requests),
            events: arms.errors,
            pairs: crate::evidence::Pairs::default(),
        },
        MetricKind::Share(ShareRule {
            event: ShareEvent::LatencyOver { span, .. },
            ..
        }) => match thresholds.get(&metric.name) {
            Some(&threshold) => {
                MetricBlock::of_arms(counts(&arms.trials, |arm| slow(arm, *span, threshold)))
            }
            None => MetricBlock::Nothing,
        },
        MetricKind::ShadowDiffers { .. } | MetricKind::Feedback { .. } => MetricBlock::Nothing,
        MetricKind::OutputBins { .. } => MetricBlock::Bins(bins(&arms.trials)),
    });
    metrics.collect()
}

fn counts(arms: &Arms<ArmTotals>, count: impl Fn(&ArmTotals) -> Counts) -> ArmCounts {
    ArmCounts {
        stable: count(&arms.stable),
        candidate: count(&arms.candidate),
    }
}

fn slow(arm: &ArmTotals, span: Span, threshold: Duration) -> Counts {
    let histogram = arm.latency(span);
    Counts {
        n: histogram.n(),
        events: histogram.n_over(threshold),
    }
}

fn bins(arms: &Arms<ArmTotals>) -> Vec<Bin> {
    let count = |arm: &ArmTotals, bin: usize| arm.outputs.get(bin).copied().unwrap_or_default();
    let n_bins = arms.stable.outputs.len().max(arms.candidate.outputs.len());
    let bins = (0..n_bins).map(|bin| Bin {
        stable: count(&arms.stable, bin),
        candidate: count(&arms.candidate, bin),
    });
    bins.collect()
}

#[cfg(test)]
mod tests;
