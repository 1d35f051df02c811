//! Blocks of counts for the decisions of a rollout, taken from the counters of both arms.
//!
//! Inputs: totals since the start, for both arms and for pairs of answers. Rule: a block is the
//! difference to the last sample. A slow request is one above a latency that was frozen once, from
//! the stable arm, at an edge of its histogram, so that counts are exact. Cold start: no request is
//! slow until stable has enough answers to know its percentile. Times of shadow requests are no
//! evidence: a shadow request runs alone, at another moment and on colder caches, so a healthy
//! candidate looks slower on a busy machine and faster on a quiet one. Recovery: after a restart,
//! the totals of this server begin at zero and those of other servers continue, so the first block
//! is the difference to the last known totals of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use stats::arm_totals::{ArmTotals, Span};
use stats::means::difference::Moments;
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts};

use super::pair_totals::PairTotals;
use crate::config::{MetricKind, RolloutConfig, ShareEvent, ShareRule};
use crate::evidence::MetricBlock;
use crate::state::{Event, GuardReadings};

/// Number of answers above a percentile from which it is frozen, but not before [`MIN_ANSWERS`].
const ANSWERS_ABOVE: f64 = 5.0;

/// Lowest number of answers for a percentile: half a dozen answers have none.
const MIN_ANSWERS: u64 = 100;

/// Totals since the start.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Totals of the stable arm.
    pub stable: ArmTotals,
    /// Totals of the candidate arm.
    pub candidate: ArmTotals,
    /// Units that each arm got on this server, stable first. Those of other servers are left out: a
    /// user seen by two servers would count twice.
    pub units: [u64; 2],
    /// Pairs of answers to requests that both versions ran.
    pub pairs: PairTotals,
    /// The longest run of errors of the candidate since the last sample.
    pub error_run: u64,
}

impl Totals {
    /// Adds the totals of other servers; runs of errors cannot be added.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(&other.stable);
        self.candidate.add(&other.candidate);
    }
}

/// The counts since the last sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// One entry per metric.
    pub(super) metrics: Vec<MetricBlock>,
    /// Requests that the candidate answered.
    pub(super) n_candidate_requests: u64,
    /// Errors and requests of stable.
    pub(super) stable: Counts,
    /// Pairs of answers.
    pub(super) n_pairs: u64,
    /// Units of each arm, stable first.
    pub(super) units: [u64; 2],
    /// Readings for the guards.
    pub(super) guards: GuardReadings,
}

/// Computes the differences between consecutive samples.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterDeltas {
    last: Totals,
}

impl CounterDeltas {
    /// Discards the units up to now: they arrived while the weights changed, so it is unknown which
    /// weights applied to them.
    pub(super) fn discard_units(&mut self, now: [u64; 2]) {
        self.last.units = now;
    }

    /// Creates deltas whose last sample was `last`.
    pub(super) fn after(last: Totals) -> Self {
        Self { last }
    }

    /// Returns the counts since the last sample.
    pub(super) fn block(
        &mut self,
        config: &RolloutConfig,
        thresholds: &BTreeMap<String, Duration>,
        now: Totals,
    ) -> Block {
        let last = std::mem::replace(&mut self.last, now);
        let now = &self.last;
        let arms = |count: fn(&ArmTotals) -> Counts| ArmCounts {
            stable: since(count(&now.stable), count(&last.stable)),
            candidate: since(count(&now.candidate), count(&last.candidate)),
        };
        let requests = arms(requests);
        let pairs = now.pairs.since(&last.pairs);
        let metrics = config.metrics.iter().map(|metric| match &metric.kind {
            MetricKind::Share(ShareRule {
                event: ShareEvent::Error,
                ..
            }) => MetricBlock::Share {
                arms: requests,
                pairs: pairs.failures(),
            },
            MetricKind::Share(ShareRule {
                event: ShareEvent::LatencyOver { span, .. },
                ..
            }) => match thresholds.get(&metric.name) {
                Some(&threshold) => slow(&last, now, *span, threshold),
                None => MetricBlock::Nothing,
            },
            MetricKind::ShadowDiffers { .. } => MetricBlock::Differing(pairs.differing()),
            MetricKind::OutputBins { .. } => MetricBlock::Bins(bins(&last, now)),
            MetricKind::Feedback { .. } => MetricBlock::Rewards {
                stable: moments_since(now.stable.rewards, last.stable.rewards),
                candidate: moments_since(now.candidate.rewards, last.candidate.rewards),
            },
        });
        let n_nan = now.candidate.n_nan.saturating_sub(last.candidate.n_nan);
        Block {
            metrics: metrics.collect(),
            n_candidate_requests: requests.candidate.n,
            stable: requests.stable,
            n_pairs: pairs.n(),
            units: [0, 1].map(|arm: usize| {
                let count = |totals: &Totals| totals.units.get(arm).copied().unwrap_or_default();
                count(now).saturating_sub(count(&last))
            }),
            guards: GuardReadings {
                nan_output: n_nan + pairs.n_nan,
                consecutive_errors: now.error_run,
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

fn requests(arm: &ArmTotals) -> Counts {
    Counts {
        n: arm.n_answered + arm.n_errors,
        events: arm.n_errors,
    }
}

fn slow(last: &Totals, now: &Totals, span: Span, threshold: Duration) -> MetricBlock {
    let arm = |last: &ArmTotals, now: &ArmTotals| {
        let block = now.latency(span).since(last.latency(span));
        Counts {
            n: block.n(),
            events: block.n_over(threshold),
        }
    };
    MetricBlock::of_arms(ArmCounts {
        stable: arm(&last.stable, &now.stable),
        candidate: arm(&last.candidate, &now.candidate),
    })
}

fn bins(last: &Totals, now: &Totals) -> Vec<Bin> {
    let count = |counts: &[u64], index: usize| counts.get(index).copied().unwrap_or_default();
    let n_bins = now.stable.outputs.len().max(now.candidate.outputs.len());
    let bins = (0..n_bins).map(|index| {
        let since = |now: &[u64], last: &[u64]| count(now, index) - count(last, index);
        Bin {
            stable: since(&now.stable.outputs, &last.stable.outputs),
            candidate: since(&now.candidate.outputs, &last.candidate.outputs),
        }
    });
    bins.collect()
}

/// Returns the difference of two counts. Counts only grow, but two counters are not read at one
/// instant.
fn since(now: Counts, last: Counts) -> Counts {
    let n = now.n.saturating_sub(last.n);
    Counts {
        n,
        events: now.events.saturating_sub(last.events).min(n),
    }
}

fn moments_since(now: Moments, last: Moments) -> Moments {
    Moments {
        n: now.n.saturating_sub(last.n),
        sum: now.sum - last.sum,
        sum_squares: now.sum_squares - last.sum_squares,
    }
}

#[cfg(test)]
mod tests;
