//! Evidence about a candidate: e-values per metric, and the verdict that follows.
//!
//! Input: blocks of counts of both arms, in the order of the metrics of the rollout. Rule: the
//! evidence "worse" runs in two windows, since the start and since the last change of weight,
//! because a long healthy time at a low weight would hide a later break. The candidate is worse
//! when the weighted mean of the e-values of the blocking metrics reaches its limit in either
//! window, and not worse when every blocking metric passes alone. Cold start: unknown, and no data
//! stays unknown. Recovery: evidence falls again with good blocks.

mod forecast;
mod metric;
mod report;
mod soak;

use api::rollout::{MetricAction, Verdict};
use serde::{Deserialize, Serialize};
use stats::means::difference::Moments;
use stats::mismatch::{self, Mismatch};
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts, ln_weighted_mean_exp};

pub use report::missing;
pub use soak::Soak;

use super::config::{MetricKind, RolloutConfig};

use metric::MetricEvidence;

/// The number of requests at which the comparison of two rates is sharpest.
const TUNED_FOR: f64 = 1000.0;

/// The counts of one metric in one block. Counts that do not fit the metric are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MetricBlock {
    /// No counts.
    #[default]
    Nothing,
    /// Requests and events.
    Share {
        /// Counts of both arms.
        arms: ArmCounts,
        /// Counts of shadow pairs.
        pairs: Pairs,
    },
    /// Pairs of answers, and the number of those that differed.
    Differing(Counts),
    /// Requests per class or bin of a score.
    Bins(Vec<Bin>),
    /// Rewards of both arms.
    Rewards {
        /// Rewards of stable.
        stable: Moments,
        /// Rewards of the candidate.
        candidate: Moments,
    },
}

/// Requests that both versions ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The number of pairs.
    pub n: u64,
    /// Pairs in which only stable had the event.
    pub stable_alone: u64,
    /// Pairs in which only the candidate had the event.
    pub candidate_alone: u64,
}

impl MetricBlock {
    /// Builds a block of the requests and events of both arms, without shadow pairs.
    #[must_use]
    pub fn of_arms(arms: ArmCounts) -> Self {
        Self::Share {
            arms,
            pairs: Pairs::default(),
        }
    }
}

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

/// The limits that the evidence is compared with, as logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The limit of "worse" since the start: 2 / alpha.
    pub worse_start: f64,
    /// The limit of "worse" since the last change of weight: 2 S / alpha, S being the number of
    /// steps.
    pub worse_step: f64,
    /// The limit of a metric that can only hold: 1 / alpha.
    pub hold: f64,
}

impl Limits {
    /// Returns the limits of a rollout.
    #[must_use]
    pub fn of(config: &RolloutConfig) -> Self {
        let n_steps = config.steps.len().max(1) as f64;
        Self {
            worse_start: (2.0 / config.alpha).ln(),
            worse_step: (2.0 * n_steps / config.alpha).ln(),
            hold: -config.alpha.ln(),
        }
    }
}

/// All evidence about a candidate. It is plain data, so that it survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    metrics: Vec<MetricEvidence>,
    mismatch: Mismatch,
}

impl Evidence {
    /// Starts without evidence.
    #[must_use]
    pub fn new(config: &RolloutConfig) -> Self {
        Self {
            metrics: config.metrics.iter().map(MetricEvidence::new).collect(),
            mismatch: Mismatch::default(),
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

    /// Adds a block, one entry per metric in the order of the rollout.
    pub fn add(&mut self, config: &RolloutConfig, blocks: &[MetricBlock]) {
        let metrics = config.metrics.iter().zip(&mut self.metrics);
        for ((metric, evidence), block) in metrics.zip(blocks) {
            evidence.add(&metric.kind, block);
        }
    }

    /// Adds units of each arm that were assigned for the first time.
    pub fn add_units(&mut self, stable: u64, candidate: u64) {
        self.mismatch.add(stable, candidate);
    }

    /// Starts a step: its window is empty, and units come at another weight.
    pub fn start_step(&mut self, config: &RolloutConfig, weight: f64) {
        for (metric, evidence) in config.metrics.iter().zip(&mut self.metrics) {
            evidence.start_step(&metric.kind);
        }
        self.mismatch.set_weight(weight);
    }

    /// Returns the window in which the candidate is worse, if there is one.
    #[must_use]
    pub fn worse(&self, config: &RolloutConfig) -> Option<Window> {
        let limits = Limits::of(config);
        if self.combined(config, Window::Start) >= limits.worse_start {
            return Some(Window::Start);
        }
        (self.combined(config, Window::Step) >= limits.worse_step).then_some(Window::Step)
    }

    /// Returns ln of the weighted mean of the e-values of the blocking metrics.
    fn combined(&self, config: &RolloutConfig, window: Window) -> f64 {
        let metrics = config.metrics.iter().zip(&self.metrics);
        ln_weighted_mean_exp(
            metrics
                .filter(|(metric, _)| metric.action == MetricAction::Block)
                .map(|(metric, evidence)| (evidence.ln_worse(window), metric.weight)),
        )
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
        let limit = Limits::of(config).hold;
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.position(|(metric, evidence)| {
            let is_large = match (&metric.kind, evidence) {
                (MetricKind::OutputBins { tolerance }, MetricEvidence::OutputBins(bins)) => {
                    bins.distance() >= *tolerance
                }
                _ => true,
            };
            metric.action == MetricAction::Hold
                && evidence.ln_worse(Window::Start) >= limit
                && is_large
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
