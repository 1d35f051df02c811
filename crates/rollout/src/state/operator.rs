//! Operator actions on a rollout.
//!
//! Decision: an action names the generation that its author saw; when there is a newer one, the
//! action is refused instead of being applied to another state. An operator who resumes or
//! promotes wins over the alarm of stable: the same alarm holds again only after it has ended once.

use contract::{ActionKind, OperatorAction};

use super::Rollout;
use super::actions::Action;
use super::phase::{HoldReason, Phase, Stage};
use super::reason::Reason;
use crate::timestamp::Timestamp;

/// Advice while stable is missing.
const MISSING_ADVICE: &str = "the files of stable are missing; put them back, or promote";

/// Advice while the query of a guard is wrong.
const GUARD_ADVICE: &str = "Prometheus refuses the query of a guard; start again with another file";

/// The reason why an operator action was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rollout has a newer generation.
    #[error("generation {given} is stale, the rollout is at {current}; read its status again")]
    Stale {
        /// The generation that the operator saw.
        given: u64,
        /// The generation of the rollout.
        current: u64,
    },
    /// The state does not allow the action.
    #[error("not possible while the rollout is `{state}`: {advice}")]
    Illegal {
        /// The state of the rollout.
        state: &'static str,
        /// The advice for the operator.
        advice: &'static str,
    },
}

impl Rollout {
    /// Applies an operator action.
    ///
    /// # Errors
    /// [`Refusal`] when the generation is stale or the state does not allow it.
    pub fn apply_action(
        &mut self,
        action: &OperatorAction,
        now: Timestamp,
    ) -> Result<Vec<Action>, Refusal> {
        let current = self.progress.generation;
        if let Some(given) = action.generation.filter(|&given| given != current) {
            return Err(Refusal::Stale { given, current });
        }
        if self.progress.phase.is_final() {
            return Err(self.illegal("it has ended; start a new one"));
        }
        let mut actions = Vec::new();
        let reason = Reason::Operator(action.reason.clone());
        match action.kind {
            ActionKind::Promote => {
                self.promote(action, now, &mut actions)?;
                self.progress.ignores_stable_alarm = true;
            }
            ActionKind::Hold => {
                let held = Phase::Held {
                    reason: HoldReason::Operator,
                    stage: self.stage()?,
                };
                self.transition_to(held, reason, &action.actor, now, &mut actions);
            }
            ActionKind::Resume => {
                self.resume_held(action, now, &mut actions)?;
                self.progress.ignores_stable_alarm = true;
            }
            ActionKind::Rollback => {
                self.roll_back(Phase::RolledBack, reason, &action.actor, now, &mut actions);
            }
            ActionKind::Abort => {
                self.roll_back(Phase::Aborted, reason, &action.actor, now, &mut actions);
            }
        }
        Ok(actions)
    }

    fn stage(&self) -> Result<Stage, Refusal> {
        let stage = self.progress.phase.stage();
        stage.ok_or_else(|| self.illegal("the candidate is not compared yet; wait or abort"))
    }

    fn promote(
        &mut self,
        action: &OperatorAction,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let stage = self.stage()?;
        if self.progress.pending_transition.is_some() {
            return Err(self.illegal("a rollback waits for stable to be ready"));
        }
        let reason = Reason::Operator(action.reason.clone());
        match self.progress.phase {
            // Opening a gate does not overrule the evidence: the next tick decides.
            Phase::Held {
                reason: HoldReason::Gate,
                ..
            } => {
                self.open_all_gates(stage);
                self.transition_to(Phase::Running(stage), reason, &action.actor, now, actions);
            }
            Phase::Held {
                reason:
                    HoldReason::Unknown
                    | HoldReason::Shadow
                    | HoldReason::StableUnhealthy
                    | HoldReason::StableMissing,
                ..
            } => {
                self.open_all_gates(stage);
                self.advance_as(&action.actor, stage, reason, now, actions);
            }
            Phase::Held { .. } => return Err(self.illegal("resume it first")),
            Phase::Running(_) => {
                if self.closed_gates(stage).next().is_none() {
                    let advice = "no gate is closed before the next weight; wait for the verdict";
                    return Err(self.illegal(advice));
                }
                self.open_all_gates(stage);
            }
            Phase::Pending
            | Phase::Warmup
            | Phase::Completed
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Failed => {}
        }
        Ok(())
    }

    fn resume_held(
        &mut self,
        action: &OperatorAction,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let Phase::Held { reason, stage } = self.progress.phase else {
            return Err(self.illegal("it is not held"));
        };
        match reason {
            HoldReason::Gate => {
                return Err(self.illegal("it waits for a gate; promote or roll back"));
            }
            HoldReason::StableMissing => return Err(self.illegal(MISSING_ADVICE)),
            HoldReason::Srm => {
                self.progress.begin_epoch(&self.config);
            }
            HoldReason::Drift | HoldReason::Shadow | HoldReason::Metric => {
                self.progress.evidence.acknowledge(&self.config);
            }
            HoldReason::GuardQuery => return Err(self.illegal(GUARD_ADVICE)),
            HoldReason::Unknown | HoldReason::StableUnhealthy | HoldReason::Operator => {}
        }
        self.progress.waiting_since = now;
        let words = Reason::Operator(action.reason.clone());
        self.transition_to(Phase::Running(stage), words, &action.actor, now, actions);
        Ok(())
    }

    fn illegal(&self, advice: &'static str) -> Refusal {
        Refusal::Illegal {
            state: self.progress.phase.state().as_str(),
            advice,
        }
    }
}
