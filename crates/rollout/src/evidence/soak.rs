//! CUSUM tests of a candidate that has all traffic.
//!
//! Without a stable arm beside it there is no share to compare, so each share metric is compared
//! with a rate frozen at the promotion: one and a half times the upper end of stable's interval.
//! Blocks of ten seconds feed the CUSUM form of the one-sample test, whose limit T / alpha is fixed
//! by the number of blocks T of the soak. Cold start: 1. A metric without data of stable has no
//! usable rate and is not watched; the guards are.

use std::time::Duration;

use api::rollout::MetricAction;
use serde::{Deserialize, Serialize};
use stats::bernoulli::ConfidenceSequence;
use stats::cusum::Cusum;
use stats::{Counts, ln_weighted_mean_exp};

use super::metric::MetricEvidence;
use super::{Block, Evidence, MetricBlock};
use crate::config::RolloutConfig;
use crate::timestamp::Timestamp;

/// The length of a block of the CUSUM.
const BLOCK: Duration = Duration::from_secs(10);

/// The smallest rate: a lower one is not distinguished from zero in any reasonable time.
const MIN_RATE: f64 = 1e-4;

/// The multiple of stable's rate that is tolerated.
const SLACK: f64 = 1.5;

/// The tests of one soak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Soak {
    metrics: Vec<Option<SoakMetric>>,
    block_started: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SoakMetric {
    cusum: Cusum,
    block: Counts,
    /// The counts since the promotion.
    #[serde(default)]
    total: Counts,
}

impl Soak {
    /// Freezes the rates of stable.
    #[must_use]
    pub fn new(config: &RolloutConfig, evidence: &Evidence, now: Timestamp) -> Self {
        let sequence = ConfidenceSequence {
            alpha: 0.01,
            tuned_for: super::TUNED_FOR,
        };
        let metrics = config.metrics.iter().zip(&evidence.metrics);
        let metrics = metrics.map(|(metric, evidence)| match evidence {
            MetricEvidence::Share(share) if metric.action == MetricAction::Block => {
                let rate = SLACK * sequence.upper(share.trials().stable).max(MIN_RATE);
                (rate < 1.0).then(|| SoakMetric {
                    cusum: Cusum::new(rate),
                    block: Counts::default(),
                    total: Counts::default(),
                })
            }
            MetricEvidence::Share(_)
            | MetricEvidence::ShadowDiffers { .. }
            | MetricEvidence::OutputBins(_)
            | MetricEvidence::Feedback { .. } => None,
        });
        Self {
            metrics: metrics.collect(),
            block_started: now,
        }
    }

    /// Adds counts, and updates the tests when a block of the CUSUM is full.
    pub fn add(&mut self, blocks: &[Block], now: Timestamp) {
        for block in blocks {
            self.add_counts(&block.metrics);
        }
        if now.since(self.block_started) < BLOCK {
            return;
        }
        self.block_started = now;
        for monitored in self.metrics.iter_mut().flatten() {
            let counts = std::mem::take(&mut monitored.block);
            monitored.cusum.add_block(counts);
        }
    }

    fn add_counts(&mut self, counts: &[MetricBlock]) {
        for (monitored, counts) in self.metrics.iter_mut().zip(counts) {
            if let (Some(monitored), MetricBlock::Share { trials, .. }) = (monitored, counts) {
                monitored.block.add(trials.candidate);
                monitored.total.add(trials.candidate);
            }
        }
    }

    /// Returns whether the candidate has become worse than stable was.
    #[must_use]
    pub fn is_worse(&self, config: &RolloutConfig) -> bool {
        self.ln_d(config) >= Self::limit(config)
    }

    /// Returns the index of the metric with the highest ln D.
    #[must_use]
    pub fn highest(&self) -> usize {
        let monitored = self.metrics.iter().enumerate();
        let ln_d =
            monitored.filter_map(|(index, metric)| Some((index, metric.as_ref()?.cusum.ln_d())));
        let highest = ln_d.max_by(|(_, a), (_, b)| a.total_cmp(b));
        highest.map_or(0, |(index, _)| index)
    }

    /// Returns the counts of the candidate since the promotion, by the metric of this index.
    #[must_use]
    pub fn counts_of(&self, index: usize) -> Option<Counts> {
        Some(self.metrics.get(index)?.as_ref()?.total)
    }

    /// Returns ln D, the weighted mean over the metrics.
    #[must_use]
    pub fn ln_d(&self, config: &RolloutConfig) -> f64 {
        let metrics = config.metrics.iter().zip(&self.metrics);
        let monitored = metrics.filter_map(|(metric, monitored)| {
            let monitored = monitored.as_ref()?;
            Some((monitored.cusum.ln_d(), metric.weight))
        });
        ln_weighted_mean_exp(monitored)
    }

    /// Returns ln(T / alpha).
    #[must_use]
    pub fn limit(config: &RolloutConfig) -> f64 {
        let n_blocks = config.soak.as_secs_f64() / BLOCK.as_secs_f64();
        (n_blocks.max(1.0) / config.alpha).ln()
    }
}
