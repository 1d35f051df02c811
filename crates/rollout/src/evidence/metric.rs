//! Evidence about one metric, and the condition under which it passes alone.

use serde::{Deserialize, Serialize};
use stats::bernoulli::ConfidenceSequence;
use stats::cusum::FixedRate;
use stats::means::difference::Moments;
use stats::non_inferiority::NonInferiorityTest;
use stats::output_bins::OutputBins;
use stats::sprt::Sprt;
use stats::{ArmCounts, Counts};

use super::forecast::further_requests;
use super::{MetricBlock, Pairs, TUNED_FOR, Window};
use crate::config::{Metric, MetricKind, RolloutConfig, ShareRule};

/// The evidence about one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MetricEvidence {
    Share {
        start: Sprt,
        step: Sprt,
        not_worse: NonInferiorityTest,
        arms: ArmCounts,
    },
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
            MetricKind::Share(_) => Self::Share {
                start: Sprt::default(),
                step: Sprt::default(),
                not_worse: NonInferiorityTest::default(),
                arms: ArmCounts::default(),
            },
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

    pub(super) fn add(&mut self, kind: &MetricKind, block: &MetricBlock) {
        match (self, kind, block) {
            (
                Self::Share {
                    start,
                    step,
                    not_worse,
                    arms,
                },
                MetricKind::Share(rule),
                MetricBlock::Share {
                    arms: counts,
                    pairs,
                },
            ) => {
                for block in [*counts, discordant(*pairs)] {
                    let evidence = Sprt::of_block(block, rule.worse_than);
                    start.add(&evidence);
                    step.add(&evidence);
                }
                // A pair shows which version is worse, but not how often either fails.
                if let Some(ratio) = rule.not_worse_ratio {
                    not_worse.add_block(*counts, ratio);
                }
                arms.add(*counts);
            }
            (Self::ShadowDiffers { start, step, pairs }, _, MetricBlock::Differing(counts)) => {
                start.add_block(*counts);
                step.add_block(*counts);
                pairs.add(*counts);
            }
            (Self::OutputBins(bins), _, MetricBlock::Bins(counts)) => bins.add_block(counts),
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

    pub(super) fn start_step(&mut self, kind: &MetricKind) {
        match (self, kind) {
            (Self::Share { step, .. }, _) => *step = Sprt::default(),
            (Self::ShadowDiffers { step, .. }, MetricKind::ShadowDiffers { max_rate }) => {
                *step = FixedRate::new(*max_rate);
            }
            (Self::ShadowDiffers { .. } | Self::OutputBins(_) | Self::Feedback { .. }, _) => {}
        }
    }

    /// Returns ln E of "worse"; 0 for metrics that are only reported.
    pub(super) fn ln_worse(&self, window: Window) -> f64 {
        match (self, window) {
            (Self::Share { start, .. }, Window::Start) => start.ln_e(),
            (Self::Share { step, .. }, Window::Step) => step.ln_e(),
            (Self::ShadowDiffers { start, .. }, Window::Start) => start.ln_e(),
            (Self::ShadowDiffers { step, .. }, Window::Step) => step.ln_e(),
            (Self::OutputBins(bins), Window::Start) => bins.ln_e(),
            (Self::OutputBins(_), Window::Step)
            | (_, Window::Soak)
            | (Self::Feedback { .. }, _) => 0.0,
        }
    }

    /// Returns whether the metric alone is "not worse".
    pub(super) fn passes(&self, config: &RolloutConfig, kind: &MetricKind) -> bool {
        self.passes_at(1.0, config, kind)
    }

    /// Returns whether the metric would be "not worse" with this multiple of its counts.
    fn passes_at(&self, factor: f64, config: &RolloutConfig, kind: &MetricKind) -> bool {
        match (self, kind) {
            (
                Self::Share {
                    not_worse, arms, ..
                },
                MetricKind::Share(rule),
            ) => {
                let limits = ShareLimits::of(rule, config.beta);
                limits.ratio_passes(&not_worse.scaled(factor))
                    || limits.difference_passes(arms.scaled(factor))
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
            Self::Share { arms, .. } => arms.candidate.n,
            Self::ShadowDiffers { pairs, .. } => pairs.n,
            Self::OutputBins(_) | Self::Feedback { .. } => return None,
        };
        further_requests(n, |factor| self.passes_at(factor, config, kind))
    }
}

/// Returns pairs as two arms of the same size: only pairs that differ carry evidence.
fn discordant(pairs: Pairs) -> ArmCounts {
    let arm = |events| Counts { n: pairs.n, events };
    ArmCounts {
        stable: arm(pairs.stable_alone),
        candidate: arm(pairs.candidate_alone),
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

/// The limits of "not worse" of one metric. With a ratio and a difference either is enough, so each
/// has half of the error budget; a difference needs both arms, so each has half of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareLimits {
    pub(super) ln_ratio: Option<f64>,
    pub(super) difference: Option<f64>,
    pub(super) sequence: ConfidenceSequence,
}

impl ShareLimits {
    pub(super) fn of(rule: &ShareRule, beta: f64) -> Self {
        let has_both = rule.not_worse_ratio.is_some() && rule.not_worse_difference.is_some();
        let budget = if has_both { beta / 2.0 } else { beta };
        Self {
            ln_ratio: rule.not_worse_ratio.map(|_| -budget.ln()),
            difference: rule.not_worse_difference,
            sequence: ConfidenceSequence {
                alpha: budget / 2.0,
                tuned_for: TUNED_FOR,
            },
        }
    }

    pub(super) fn ratio_passes(self, evidence: &NonInferiorityTest) -> bool {
        self.ln_ratio.is_some_and(|limit| evidence.ln_n() >= limit)
    }

    pub(super) fn difference_passes(self, arms: ArmCounts) -> bool {
        let Some(difference) = self.difference else {
            return false;
        };
        // The lower end is never above the rate, so most calls end here, before the search.
        let loosest = arms.stable.rate().unwrap_or(0.0) + difference;
        if !self.sequence.is_at_most(loosest, arms.candidate) {
            return false;
        }
        let bound = self.sequence.lower(arms.stable) + difference;
        self.sequence.is_at_most(bound, arms.candidate)
    }
}
