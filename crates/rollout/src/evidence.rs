//! What is known about a candidate: evidence per metric, and the verdict that follows.
//!
//! Input: blocks of counts of both arms, in the order of the metrics of the rollout. Rule: the
//! evidence "worse" runs in two windows, since the start and since the last change of weight,
//! because a long healthy time at a low weight would hide a later break. The candidate is worse
//! when the weighted mean of the e-values of the blocking metrics reaches its limit in either
//! window, and not worse when every blocking metric passes alone. Cold start: unknown, and no data
//! stays unknown. Recovery: evidence falls again with good blocks.

mod metric;
mod report;
mod soak;

use serde::{Deserialize, Serialize};

pub use report::{
    ArmReport, ArmsReport, CombinedReport, DifferenceReport, LimitsReport, MetricReport,
    MismatchReport, Report,
};
pub use soak::Soak;

use super::config::{MetricAction, MetricKind, RolloutConfig};
use stats::means::difference::Moments;
use stats::mismatch::{self, Mismatch};
use stats::output_bins::Bin;
use stats::{ArmCounts, Counts, ln_weighted_mean_exp};

use metric::MetricEvidence;

/// The requests at which the comparison of two rates is sharpest.
const TUNED_FOR: f64 = 1000.0;

/// What was counted for one metric in one block. What does not fit the metric is ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MetricBlock {
    /// Nothing.
    #[default]
    Nothing,
    /// Requests and events.
    Share {
        /// Of both arms.
        arms: ArmCounts,
        /// Of copies.
        pairs: Pairs,
    },
    /// Pairs of answers, and how many of them differed.
    Differing(Counts),
    /// Requests per class or bin of a score.
    Bins(Vec<Bin>),
    /// Rewards of both arms.
    Rewards {
        /// Of stable.
        stable: Moments,
        /// Of the candidate.
        candidate: Moments,
    },
}

/// Requests that both versions ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// How many.
    pub n: u64,
    /// In how many only stable had the event.
    pub stable_alone: u64,
    /// In how many only the candidate had it.
    pub candidate_alone: u64,
}

impl MetricBlock {
    /// Requests and events of both arms, without copies.
    #[must_use]
    pub fn of_arms(arms: ArmCounts) -> Self {
        Self::Share {
            arms,
            pairs: Pairs::default(),
        }
    }
}

/// What is thought of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is worse than stable.
    Worse,
    /// It is not worse.
    NotWorse,
    /// Nobody knows yet.
    Unknown,
}

/// The time that evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Since the start of the rollout.
    Start,
    /// Since the last change of weight.
    Step,
    /// The time with all of the traffic.
    Soak,
}

/// The limits that the evidence is held against, as logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Of "worse" since the start: 2 / alpha.
    pub worse_start: f64,
    /// Of "worse" since the last change: 2 S / alpha, S being the number of steps.
    pub worse_step: f64,
    /// Of a metric that can only hold: 1 / alpha.
    pub hold: f64,
}

impl Limits {
    /// The limits of a rollout.
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

/// Everything that is known about a candidate. It is plain data, so that it survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    metrics: Vec<MetricEvidence>,
    mismatch: Mismatch,
}

impl Evidence {
    /// Nothing is known.
    #[must_use]
    pub fn new(config: &RolloutConfig) -> Self {
        Self {
            metrics: config.metrics.iter().map(MetricEvidence::new).collect(),
            mismatch: Mismatch::default(),
        }
    }

    /// Whether this is evidence about the metrics of `config`.
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

    /// A step begins: its window is empty, and units come at another weight.
    pub fn start_step(&mut self, config: &RolloutConfig, weight: f64) {
        for (metric, evidence) in config.metrics.iter().zip(&mut self.metrics) {
            evidence.start_step(&metric.kind);
        }
        self.mismatch.set_weight(weight);
    }

    /// The window in which the candidate is worse, if there is one.
    #[must_use]
    pub fn worse(&self, config: &RolloutConfig) -> Option<Window> {
        let limits = Limits::of(config);
        if self.combined(config, Window::Start) >= limits.worse_start {
            return Some(Window::Start);
        }
        (self.combined(config, Window::Step) >= limits.worse_step).then_some(Window::Step)
    }

    /// ln of the weighted mean of the e-values of the blocking metrics.
    fn combined(&self, config: &RolloutConfig, window: Window) -> f64 {
        let metrics = config.metrics.iter().zip(&self.metrics);
        ln_weighted_mean_exp(
            metrics
                .filter(|(metric, _)| metric.action == MetricAction::Block)
                .map(|(metric, evidence)| (evidence.ln_worse(window), metric.weight)),
        )
    }

    /// Whether every blocking metric passes.
    #[must_use]
    pub fn is_not_worse(&self, config: &RolloutConfig) -> bool {
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.all(|(metric, evidence)| {
            metric.action != MetricAction::Block || evidence.passes(config, &metric.kind)
        })
    }

    /// Whether the answers agree well enough to let the candidate answer.
    #[must_use]
    pub fn shadow_agrees(&self, config: &RolloutConfig) -> bool {
        let mut metrics = config.metrics.iter().zip(&self.metrics);
        metrics.all(|(metric, evidence)| {
            let is_blocking_shadow = metric.action == MetricAction::Block
                && matches!(metric.kind, MetricKind::ShadowDiffers { .. });
            !is_blocking_shadow || evidence.passes(config, &metric.kind)
        })
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self, config: &RolloutConfig) -> Verdict {
        match (self.worse(config), self.is_not_worse(config)) {
            (Some(_), _) => Verdict::Worse,
            (None, true) => Verdict::NotWorse,
            (None, false) => Verdict::Unknown,
        }
    }

    /// The place of the first metric that asks to hold.
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

    /// Forgets what the metrics that can only hold have seen: somebody looked and goes on.
    pub fn acknowledge(&mut self, config: &RolloutConfig) {
        for (metric, evidence) in config.metrics.iter().zip(&mut self.metrics) {
            if metric.action == MetricAction::Hold {
                *evidence = MetricEvidence::new(metric);
            }
        }
    }

    /// Whether the arms do not get the units that their weights promise.
    #[must_use]
    pub fn has_mismatch(&self) -> bool {
        self.mismatch.ln_bf() >= mismatch::LN_LIMIT
    }
}

#[cfg(test)]
mod tests;
