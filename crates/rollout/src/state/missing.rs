//! The conditions that a rollout still lacks for the next weight, in plain numbers.
//!
//! Inputs: the times and counts of the stage, and the report of the evidence. Rule: requests go on
//! coming as they came in this stage, which gives the time that is left. Cold start: without
//! requests, no time is told. Recovery: the phrases are made anew for each status.

use api::rollout::{ArmReport, MetricReport, Report};

use super::{Phase, Rollout, Stage};
use crate::config::MetricKind;
use crate::evidence::{missing, time_left};
use crate::numbers::{duration, percent};
use crate::timestamp::Timestamp;

impl Rollout {
    /// Returns the times, counts and evidence that the next weight still lacks, a phrase for each.
    pub(super) fn missing(&self) -> Vec<String> {
        let (config, progress) = (&self.config, &self.progress);
        let report = progress.evidence.report(config);
        let phrases = self.holding_metric(&report).into_iter();
        let phrases = phrases.chain(self.min_time_left());
        match progress.phase.stage() {
            // Nothing is known of the candidate yet.
            Some(Stage::Baseline) => phrases.chain(self.baseline_left()).collect(),
            Some(Stage::Shadow) => {
                let required = config.shadow.map_or(0, |shadow| shadow.min_pairs);
                let (n, began) = (progress.n_pairs, progress.waiting_since);
                let pairs = self.left("min_pairs", "shadow requests", [n, required], began);
                let phrases = phrases.chain(pairs).chain(self.baseline_left());
                phrases
                    .chain(missing(&report, self.rate(n, began)))
                    .collect()
            }
            Some(Stage::Step(_)) => {
                let required = config.step.min_requests;
                let (n, began) = (progress.n_candidate_requests, progress.entered);
                let what = "requests to the candidate";
                let phrases = phrases.chain(self.left("min_requests", what, [n, required], began));
                phrases
                    .chain(missing(&report, self.rate(n, began)))
                    .collect()
            }
            Some(Stage::Promoting | Stage::Soak) | None => Vec::new(),
        }
    }

    /// Returns the requests to stable that the baseline still lacks.
    fn baseline_left(&self) -> Option<String> {
        let (n, required) = (self.n_baseline_requests(), self.min_baseline_requests());
        let began = self.progress.waiting_since;
        self.left("baseline", "requests to stable", [n, required], began)
    }

    /// Returns the number of `what` that is left, with the time that it takes.
    fn left(
        &self,
        rule: &str,
        what: &str,
        [so_far, required]: [u64; 2],
        began: Timestamp,
    ) -> Option<String> {
        let n = required.saturating_sub(so_far);
        let time = time_left(n, self.rate(so_far, began));
        (n > 0).then(|| format!("{rule}: needs {n} more {what}{time}"))
    }

    /// Returns the rate in a second of what was counted since a time.
    fn rate(&self, n: u64, began: Timestamp) -> Option<f64> {
        let seconds = self.last_tick.since(began).as_secs_f64();
        Some(n as f64 / seconds).filter(|rate| rate.is_normal())
    }

    fn min_time_left(&self) -> Option<String> {
        let progress = &self.progress;
        let Some(Stage::Baseline | Stage::Step(_)) = progress.phase.stage() else {
            return None;
        };
        let so_far = self.last_tick.since(progress.entered);
        let left = self.config.step.min_time.saturating_sub(so_far);
        (!left.is_zero()).then(|| format!("min_time: {} left", duration(left)))
    }

    /// Returns the metric for which the rollout is held, with its numbers.
    fn holding_metric(&self, report: &Report) -> Option<String> {
        let Phase::Held { .. } = self.progress.phase else {
            return None;
        };
        let index = self.progress.evidence.holding_metric(&self.config)?;
        let MetricReport {
            name,
            arms,
            distance,
            ..
        } = report.metrics.get(index)?;
        let value = |arm: Option<ArmReport>| arm?.value;
        let values = value(arms.candidate).zip(value(arms.stable));
        match self.config.metrics.get(index)?.kind {
            MetricKind::OutputBins { tolerance } => Some(format!(
                "{name}: the distributions of the outputs differ by {:.2} (tolerance_js {tolerance})",
                (*distance)?
            )),
            MetricKind::ShadowDiffers { max_rate } => {
                let rate = percent(arms.candidate?.value?);
                Some(format!(
                    "{name}: {rate} of the answers differ (max_rate {max_rate})"
                ))
            }
            MetricKind::Share(_) => values.map(|(candidate, stable)| {
                let (candidate, stable) = (percent(candidate), percent(stable));
                format!("{name}: {candidate} against {stable}")
            }),
            MetricKind::Feedback { .. } => values
                .map(|(candidate, stable)| format!("{name}: {candidate:.4} against {stable:.4}")),
        }
    }
}
