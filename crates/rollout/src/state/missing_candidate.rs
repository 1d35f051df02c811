//! A candidate that disappears from the repository.
//!
//! Rule: a running stage is held with all traffic on stable, and goes on when the candidate is ready
//! again; nothing is counted meanwhile, because stable answers for both arms. Another hold stays
//! what it is. Rejected: a rollback, because files that are replaced or a mount that comes back are
//! no evidence against the candidate.

use super::Rollout;
use super::actions::Action;
use super::events::Availability;
use super::phase::{HoldReason, Phase};
use crate::timestamp::Timestamp;

impl Rollout {
    /// Returns whether the candidate has answered its share since the last tick.
    pub(super) fn has_candidate(&self, candidate: Availability) -> bool {
        let is_held = self
            .progress
            .phase
            .is_held_for(HoldReason::CandidateMissing);
        let is_missing =
            candidate == Availability::Missing && self.progress.phase.stage().is_some();
        !is_held && !is_missing
    }

    /// Holds while the candidate is missing, and goes on when it is ready again.
    pub(super) fn wait_for_candidate(
        &mut self,
        candidate: Availability,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let reason = HoldReason::CandidateMissing;
        match (self.progress.phase, candidate) {
            (Phase::Running(_), Availability::Missing) => self.hold(reason, now, actions),
            (Phase::Held { stage, .. }, Availability::Ready) => {
                self.release(reason, stage, now, actions);
            }
            // Another hold stays what it is.
            (_, Availability::Missing | Availability::NotReady | Availability::Ready) => {}
        }
    }
}
