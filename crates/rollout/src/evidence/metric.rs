//! Evidence about one metric, and the conditions under which it is worse or passes alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stats::Counts;
use stats::bernoulli::ConfidenceSequence;
use stats::cusum::FixedRate;
use stats::means::difference::Moments;
use stats::output_bins::OutputBins;

use super::forecast::further_requests;
use super::share::ShareEvidence;
use super::{Limits, MetricBlock, TUNED_FOR, Window};
use crate::config::{Metric, MetricKind, RolloutConfig};

/// The evidence about one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MetricEvidence {
    Share(Box<ShareEvidence>),
    ShadowDiffers {
        start: FixedRate,
        step: FixedRate,
        pairs: Counts,
    },
    OutputBins(OutputBins),
    Feedback {
        stable: Moments,
        candidate: Moments,
    },
}

impl MetricEvidence {
    pub(super) fn new(metric: &Metric) -> Self {
        match metric.kind {
            MetricKind::Share(_) => Self::Share(Box::default()),
            MetricKind::ShadowDiffers { max_rate } => Self::ShadowDiffers {
                start: FixedRate::new(max_rate),
                step: FixedRate::new(max_rate),
                pairs: Counts::default(),
            },
            MetricKind::OutputBins { .. } => Self::OutputBins(OutputBins::default()),
            MetricKind::Feedback { .. } => Self::Feedback {
                stable: Moments::default(),
                candidate: Moments::default(),
            },
        }
    }

    /// Adds the counts of a block whose observations had this weight; `elapsed` is the time since
    /// the first block.
    pub(super) fn add(
        &mut self,
        kind: &MetricKind,
        weight: f64,
        block: &MetricBlock,
        elapsed: Duration,
    ) {
        match (self, kind, block) {
            (
                Self::Share(share),
                MetricKind::Share(rule),
                MetricBlock::Share {
                    trials,
                    events,
                    pairs,
                },
            ) => {
                share.add(rule, weight, *trials, *events, elapsed);
                share.add_pairs(rule, *pairs, elapsed);
            }
            (Self::ShadowDiffers { start, step, pairs }, _, MetricBlock::Differing(counts)) => {
                start.add_block(*counts);
                step.add_block(*counts);
                pairs.add(*counts);
            }
            (Self::OutputBins(bins), _, MetricBlock::Bins(counts)) => {
                bins.add_block(counts, weight);
            }
            (
                Self::Feedback { stable, candidate },
                _,
                MetricBlock::Rewards {
                    stable: more_stable,
                    candidate: more_candidate,
                },
            ) => {
                stable.add(*more_stable);
                candidate.add(*more_candidate);
            }
            _ => {}
        }
    }

    /// Adds the counts of a block from before the candidate got traffic.
    pub(super) fn add_baseline(&mut self, block: &MetricBlock) {
        if let (Self::OutputBins(bins), MetricBlock::Bins(counts)) = (self, block) {
            bins.add_block(counts, 0.0);
        }
    }

    /// Starts an assignment epoch, in which every unit is counted again.
    pub(super) fn start_epoch(&mut self) {
        if let Self::Share(share) = self {
            share.start_epoch();
        }
    }

    pub(super) fn start_step(&mut self, kind: &MetricKind) {
        match (self, kind) {
            (Self::Share(share), _) => share.start_step(),
            (Self::ShadowDiffers { step, .. }, MetricKind::ShadowDiffers { max_rate }) => {
                *step = FixedRate::new(*max_rate);
            }
            (Self::ShadowDiffers { .. } | Self::OutputBins(_) | Self::Feedback { .. }, _) => {}
        }
    }

    /// Returns ln E of "worse"; 0 for metrics that are only reported.
    pub(super) fn ln_worse(&self, window: Window) -> f64 {
        match (self, window) {
            (Self::Share(share), _) => share.ln_worse(window),
            (Self::ShadowDiffers { start, .. }, Window::Start) => start.ln_e(),
            (Self::ShadowDiffers { step, .. }, Window::Step) => step.ln_e(),
            (Self::OutputBins(bins), Window::Start) => bins.ln_e(),
            (Self::OutputBins(_), Window::Step)
            | (_, Window::Soak)
            | (Self::Feedback { .. }, _) => 0.0,
        }
    }

    /// Returns the window in which the candidate is worse, or its outputs differ.
    pub(super) fn worse(&self, config: &RolloutConfig, metric: &Metric) -> Option<Window> {
        let limits = Limits::of(config, metric);
        let windows = [
            (Window::Start, limits.worse_start),
            (Window::Step, limits.worse_step),
        ];
        let mut reached = windows
            .into_iter()
            .filter(|(window, limit)| self.ln_worse(*window) >= *limit);
        let is_large = |window| match (self, &metric.kind) {
            (Self::Share(share), MetricKind::Share(rule)) => {
                share.is_above_margin(rule, config.alpha, window)
            }
            (Self::OutputBins(bins), MetricKind::OutputBins { tolerance }) => {
                bins.distance() >= *tolerance
            }
            _ => true,
        };
        reached
            .find(|(window, _)| is_large(*window))
            .map(|(window, _)| window)
    }

    /// Returns whether the metric alone is "not worse".
    pub(super) fn passes(&self, config: &RolloutConfig, kind: &MetricKind) -> bool {
        self.passes_at(1.0, config, kind)
    }

    /// Returns whether the metric would be "not worse" with this multiple of its counts.
    fn passes_at(&self, factor: f64, config: &RolloutConfig, kind: &MetricKind) -> bool {
        match (self, kind) {
            (Self::Share(share), MetricKind::Share(rule)) => {
                share.passes_at(factor, rule, config.beta)
            }
            (Self::ShadowDiffers { pairs, .. }, MetricKind::ShadowDiffers { max_rate }) => {
                shadow_sequence(config).is_at_most(*max_rate, pairs.scaled(factor))
            }
            _ => false,
        }
    }

    /// Returns about how many more requests to the candidate, or shadow pairs, the metric needs
    /// until it is "not worse", if the rates stay as they are; `None` when that is not known.
    pub(super) fn further_requests(
        &self,
        config: &RolloutConfig,
        kind: &MetricKind,
    ) -> Option<u64> {
        let n = match self {
            Self::Share(share) => share.step_trials().candidate.n,
            Self::ShadowDiffers { pairs, .. } => pairs.n,
            Self::OutputBins(_) | Self::Feedback { .. } => return None,
        };
        further_requests(n, |factor| self.passes_at(factor, config, kind))
    }
}

/// Returns the confidence sequence for the rate of differing shadow pairs.
pub(super) fn shadow_sequence(config: &RolloutConfig) -> ConfidenceSequence {
    ConfidenceSequence {
        alpha: config.beta,
        tuned_for: config
            .shadow
            .map_or(TUNED_FOR, |shadow| shadow.min_pairs as f64),
    }
}
