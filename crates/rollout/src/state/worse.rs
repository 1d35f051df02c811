//! The reason for which the evidence calls a candidate worse: the metric, with the rates of both
//! versions in the window of the evidence.

use stats::{ArmCounts, Counts};

use super::reason::{Counted, Reason, WorseMetric};
use super::{Rollout, Stage};
use crate::config::{MetricKind, Sticky};
use crate::evidence::{Soak, Window, Worse};

impl Rollout {
    /// Returns the reason why the candidate is worse.
    pub(super) fn worse(&self, stage: Stage) -> Option<Reason> {
        let worse = match (stage, &self.progress.soak) {
            (Stage::Soak, Some(soak)) => soak.is_worse(&self.config).then(|| Worse {
                metric: soak.highest(),
                window: Window::Soak,
            }),
            (
                Stage::Baseline | Stage::Shadow | Stage::Step(_) | Stage::Promoting | Stage::Soak,
                _,
            ) => self.progress.evidence.worse(&self.config),
        }?;
        let metric = self.worse_metric(worse);
        Some(metric.map_or(Reason::Worse(worse.window), Reason::WorseMetric))
    }

    fn worse_metric(&self, worse: Worse) -> Option<WorseMetric> {
        let metric = self.config.metrics.get(worse.metric)?;
        let arms = self.arms_in(worse)?;
        let (counted, against) = match metric.kind {
            MetricKind::ShadowDiffers { max_rate } => (Counted::ShadowRequests, max_rate),
            MetricKind::Share(_) | MetricKind::OutputBins { .. } | MetricKind::Feedback { .. } => {
                (self.counted(), arms.stable.rate().unwrap_or_default())
            }
        };
        Some(WorseMetric {
            metric: metric.name.clone(),
            window: worse.window,
            counted,
            candidate: arms.candidate,
            against,
        })
    }

    /// Returns what the trials of the metrics are.
    fn counted(&self) -> Counted {
        let assignment = &self.config.assignment;
        match (&assignment.unit.source, assignment.sticky) {
            (contract::UnitSource::Random, Sticky::Rollout | Sticky::Epoch(_)) => Counted::Requests,
            (_, Sticky::Rollout | Sticky::Epoch(_)) => Counted::Units,
        }
    }

    /// Returns the counts of a metric in a window. Stable's are older than the soak.
    fn arms_in(&self, Worse { metric, window }: Worse) -> Option<ArmCounts> {
        let evidence = &self.progress.evidence;
        let soak = self.progress.soak.as_ref();
        match window {
            Window::Start | Window::Step => evidence.counts(metric, window),
            Window::Soak => Some(ArmCounts {
                candidate: soak.and_then(|soak: &Soak| soak.counts_of(metric))?,
                stable: evidence
                    .counts(metric, window)
                    .map_or_else(Counts::default, |arms| arms.stable),
            }),
        }
    }
}
