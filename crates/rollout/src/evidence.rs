//! Evidence about a candidate: e-values per metric, and the verdict that follows.
//!
//! Input: blocks of counts of both arms, in the order of the metrics of the rollout, each with the
//! weight at which its observations were assigned. Rule: the evidence "worse" runs in two windows:
//! since the start, with a new test every ten minutes, because a long healthy time would hide a
//! later break, and since the last change of weight. The candidate is worse when a blocking metric
//! reaches its limit in either window, each with its share of alpha, and its rate is above that of
//! stable by a margin. It is not worse when every blocking metric passes alone. Cold start: unknown,
//! and no data stays unknown. Recovery: evidence falls again with good blocks. Rejected: the mean of
//! the e-values of several metrics, which is no e-value when one unit has events of several metrics.

mod block;
mod forecast;
mod metric;
mod report;
mod share;
mod soak;

use api::rollout::{MetricAction, Verdict};
use contract::UnitSource;
use serde::{Deserialize, Serialize};
use stats::ArmCounts;
use stats::mismatch::{self, Mismatch};

pub use block::{Arms, Block, MetricBlock, Pairs};
pub use report::{missing, time_left};
pub use soak::Soak;

use super::config::{Metric, MetricKind, RolloutConfig};
use super::timestamp::Timestamp;

use metric::MetricEvidence;

/// The number of requests at which the comparison of two rates is sharpest.
const TUNED_FOR: f64 = 1000.0;

/// The window of time that evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Since the start of the rollout.
    Start,
    /// Since the last change of weight.
    Step,
    /// The soak.
    Soak,
}

/// The limits of one metric, as logarithms. A blocking metric has the share of alpha that its
/// weight is of all weights of blocking metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The limit of "worse" since the start: 2 / alpha.
    pub worse_start: f64,
    /// The limit of "worse" since the last change of weight: 2 S / alpha, S being the number of
    /// steps.
    pub worse_step: f64,
}

impl Limits {
    /// Returns the limits of a metric of a rollout.
    #[must_use]
    pub fn of(config: &RolloutConfig, metric: &Metric) -> Self {
        let n_steps = config.steps.len().max(1) as f64;
        let alpha = match metric.action {
            MetricAction::Block => {
                let all: f64 = config.blocking().map(|(_, metric)| metric.weight).sum();
                config.alpha * metric.weight / all
            }
            MetricAction::Hold | MetricAction::Report => config.alpha,
        };
        Self {
            worse_start: (2.0 / alpha).ln(),
            worse_step: (2.0 * n_steps / alpha).ln(),
        }
    }
}

/// The finding that the candidate is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worse {
    /// The index of the metric.
    pub metric: usize,
    /// The window in which it is worse.
    pub window: Window,
}

/// All evidence about a candidate. It is plain data, so that it survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    metrics: Vec<MetricEvidence>,
    mismatch: Mismatch,
    /// The time of the first block.
    started: Option<Timestamp>,
    assignment_epoch: u64,
}

impl Evidence {
    /// Starts without evidence.
    #[must_use]
    pub fn new(config: &RolloutConfig) -> Self {
        Self {
            metrics: config.metrics.iter().map(MetricEvidence::new).collect(),
            mismatch: Mismatch::default(),
            started: None,
            assignment_epoch: 0,
        }
    }

    /// Returns whether the evidence is about the metrics of `config`.
    #[must_use]
    pub fn fits(&self, config: &RolloutConfig) -> bool {
        let empty = Self::new(config);
        let kinds = self.metrics.iter().zip(&empty.metrics);
        self.metrics.len() == empty.metrics.len()
            && kinds
                .into_iter()
                .all(|(a, b)| std::mem::discriminant(a) == std::mem::discriminant(b))
    }

    /// Adds a block.
    pub fn add(&mut self, config: &RolloutConfig, block: &Block, now: Timestamp) {
        let started = *self.started.get_or_insert(now);
        // Requests without a unit are at risk once.
        let has_units = config.assignment.unit.source != UnitSource::Random;
        let is_new_epoch = !has_units || block.assignment_epoch > self.assignment_epoch;
        self.assignment_epoch = self.assignment_epoch.max(block.assignment_epoch);
        let metrics = config.metrics.iter().zip(&mut self.metrics);
        for ((metric, evidence), counts) in metrics.zip(&block.metrics) {
            if is_new_epoch {
                evidence.start_epoch();
            }
            evidence.add(&metric.kind, block.weight, counts, now.since(started));
        }
        if self.mismatch.weight() != block.weight {
            self.mismatch.set_weight(block.weight);
        }
        let Arms { stable, candidate } = block.units;
        self.mismatch.add(stable, candidate);
    }

    /// Adds a block from before the candidate got traffic.
    pub fn add_baseline(&mut self, block: &Block) {
        for (evidence, counts) in self.metrics.iter_mut().zip(&block.metrics) {
            evidence.add_baseline(counts);
        }
    }

    /// Starts a step: its window is empty.
    pub fn start_step(&mut self, config: &RolloutConfig) {
        for (metric, evidence) in config.metrics.iter().zip(&mut self.metrics) {
            evidence.start_step(&metric.kind);
        }
    }

    /// Returns the blocking metric and the window in which the candidate is worse, if there are
    /// some.
    #[must_use]
    pub fn worse(&self, config: &RolloutConfig) -> Option<Worse> {
        config.blocking().find_map(|(index, metric)| {
            let evidence = self.metrics.get(index)?;
            let window = evidence.worse(config, metric)?;
            Some(Worse {
                metric: index,
                window,
            })
        })
    }

    /// Returns the counts of a metric that the evidence of a window comes from; those since the start
    /// for the soak. `None` for metrics without rates.
    #[must_use]
    pub fn counts(&self, metric: usize, window: Window) -> Option<ArmCounts> {
        match self.metrics.get(metric)? {
            MetricEvidence::Share(share) => Some(share.counts(window)),
            MetricEvidence::ShadowDiffers { pairs, .. } => Some(ArmCounts {
                candidate: *pairs,
                ..ArmCounts::default()
            }),
            MetricEvidence::OutputBins(_) | MetricEvidence::Feedback { .. } => None,
        }
    }

    /// Returns whether every blocking metric passes.
    #[must_use]
    pub fn is_not_worse(&self, config: &RolloutConfig) -> bool {
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.all(|(metric, evidence)| {
            metric.action != MetricAction::Block || evidence.passes(config, &metric.kind)
        })
    }

    /// Returns whether the answers agree well enough for the candidate to get traffic.
    #[must_use]
    pub fn shadow_agrees(&self, config: &RolloutConfig) -> bool {
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.all(|(metric, evidence)| {
            let is_blocking_shadow = metric.action == MetricAction::Block
                && matches!(metric.kind, MetricKind::ShadowDiffers { .. });
            !is_blocking_shadow || evidence.passes(config, &metric.kind)
        })
    }

    /// Returns the verdict.
    #[must_use]
    pub fn verdict(&self, config: &RolloutConfig) -> Verdict {
        match (self.worse(config), self.is_not_worse(config)) {
            (Some(_), _) => Verdict::Worse,
            (None, true) => Verdict::NotWorse,
            (None, false) => Verdict::Unknown,
        }
    }

    /// Returns the index of the first metric that requires a hold.
    #[must_use]
    pub fn holding_metric(&self, config: &RolloutConfig) -> Option<usize> {
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.position(|(metric, evidence)| {
            metric.action == MetricAction::Hold && evidence.worse(config, metric).is_some()
        })
    }

    /// Resets the metrics that can only hold, after an operator has resumed.
    pub fn acknowledge(&mut self, config: &RolloutConfig) {
        for (metric, evidence) in config.metrics.iter().zip(&mut self.metrics) {
            if metric.action == MetricAction::Hold {
                *evidence = MetricEvidence::new(metric);
            }
        }
    }

    /// Returns whether there is a sample-ratio mismatch: the arms do not get the units that their
    /// weights promise.
    #[must_use]
    pub fn has_mismatch(&self) -> bool {
        self.mismatch.ln_bf() >= mismatch::LN_LIMIT
    }
}

#[cfg(test)]
mod tests;
