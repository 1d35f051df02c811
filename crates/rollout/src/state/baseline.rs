//! The baseline of a blue-green rollout: the rates of stable, which the soak needs.
//!
//! Inputs: the counts of stable at weight 0, in the stage `baseline`, or beside shadow requests.
//! Rule: each blocking metric needs [`MIN_REQUESTS`], or `min_requests` when these are more. Cold
//! start: nothing is measured, so nothing is promoted. Recovery: the counts are a part of the
//! progress. Rejected: the counts from before the rollout, because thresholds of latencies are
//! frozen in the rollout, and nobody knows which changes lie between.

use super::Rollout;
use crate::config::{MetricKind, Strategy};
use crate::evidence::Window;

/// Requests that bound a rate of half a percent within a factor of four, so that a soak finds 10 %
/// errors within some hundred requests.
const MIN_REQUESTS: u64 = 1000;

impl Rollout {
    /// Returns whether the rates of stable are known well enough for the promotion.
    pub(super) fn has_baseline(&self) -> bool {
        self.n_baseline_requests() >= self.min_baseline_requests()
    }

    /// Returns the number of requests with which stable must be measured.
    pub(super) fn min_baseline_requests(&self) -> u64 {
        match self.config.strategy {
            Strategy::BlueGreen => self.config.step.min_requests.max(MIN_REQUESTS),
            // The steps measure stable beside the candidate.
            Strategy::Canary | Strategy::Shadow | Strategy::Ab => 0,
        }
    }

    /// Returns the number of requests with which stable was measured, in the blocking metric that
    /// has the fewest.
    pub(super) fn n_baseline_requests(&self) -> u64 {
        let shares = self.config.blocking();
        let shares = shares.filter(|(_, metric)| matches!(metric.kind, MetricKind::Share(_)));
        let counts = shares.map(|(index, _)| {
            let arms = self.progress.evidence.counts(index, Window::Soak);
            arms.map_or(0, |arms| arms.stable.n)
        });
        // Without such a metric there is nothing to measure.
        counts.min().unwrap_or(u64::MAX)
    }
}
