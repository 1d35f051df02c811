//! Versions that disappear from the repository during a rollout.
//!
//! Rule: without its candidate, a rollout goes back to stable at once. Without stable, it is held
//! with an alert, because the candidate answers the requests of both arms; it goes on when stable is
//! ready again. Nothing is counted while either version is not ready: a version would be compared
//! with itself. Without both, it waits for stable. Cold start: a candidate that was never found fails
//! the rollout when it is loaded. Recovery: files that are away for a moment reach nobody here where
//! their folder is, or their root: the repository serves a model that is gone as a whole until its
//! removal delay is over. Rejected: a hold until the files of the candidate are back, because nobody
//! deletes a version that is to be promoted.

use super::Rollout;
use super::events::{Availability, Tick};
use super::phase::{Phase, Stage};

impl Tick {
    /// Returns whether the counts of a stage come from the versions that it compares.
    pub(super) fn is_comparable(&self, stage: Stage) -> bool {
        let is_stable_needed = match stage {
            Stage::Baseline | Stage::Shadow | Stage::Step(_) | Stage::Promoting => true,
            Stage::Soak => false,
        };
        let has_stable = self.stable == Availability::Ready || !is_stable_needed;
        has_stable && self.candidate == Availability::Ready
    }

    /// Returns whether stable is gone, so that the candidate answers for it.
    pub(super) fn is_stable_gone(&self) -> bool {
        match self.stable {
            Availability::Missing | Availability::Failed => true,
            Availability::Ready | Availability::Loading => false,
        }
    }
}

impl Rollout {
    /// Returns whether the candidate is gone and stable can take its traffic.
    pub(super) fn is_candidate_gone(&self, tick: &Tick) -> bool {
        let phase = self.progress.phase;
        let has_begun = phase == Phase::Warmup || phase.stage().is_some();
        has_begun && tick.candidate == Availability::Missing && tick.stable == Availability::Ready
    }
}
