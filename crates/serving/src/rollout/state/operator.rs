//! What an operator may do.
//!
//! Decision: an act names the generation that its author looked at; when the rollout has moved on
//! since, the act is refused instead of doing something to another state.

use contract::{Act, ActKind};

use super::Rollout;
use super::actions::Action;
use super::phase::{HoldReason, Phase, Reason, Stage};
use crate::rollout::moment::Moment;

/// Why an act was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rollout has moved on.
    #[error("generation {given} is stale, the rollout is at {current}; look at its status again")]
    Stale {
        /// What the operator looked at.
        given: u64,
        /// Where the rollout is.
        current: u64,
    },
    /// The state does not allow it.
    #[error("not possible while the rollout is `{state}`: {advice}")]
    Illegal {
        /// Where the rollout stands.
        state: &'static str,
        /// What would be possible.
        advice: &'static str,
    },
}

impl Rollout {
    /// Does what an operator wants.
    ///
    /// # Errors
    /// [`Refusal`] when the generation is stale or the state does not allow it.
    pub fn act(&mut self, act: &Act, now: Moment) -> Result<Vec<Action>, Refusal> {
        let current = self.progress.generation;
        if let Some(given) = act.generation.filter(|&given| given != current) {
            return Err(Refusal::Stale { given, current });
        }
        if self.progress.phase.is_final() {
            return Err(self.illegal("it has ended; start a new one"));
        }
        let mut actions = Vec::new();
        let reason = Reason::Operator(act.reason.clone());
        match act.kind {
            ActKind::Promote => self.promote(act, now, &mut actions)?,
            ActKind::Hold => {
                let held = Phase::Held {
                    reason: HoldReason::Operator,
                    stage: self.stage()?,
                };
                self.go(held, reason, &act.actor, now, &mut actions);
            }
            ActKind::Resume => self.resume_by(act, now, &mut actions)?,
            ActKind::Rollback => {
                self.fall_back(Phase::RolledBack, reason, &act.actor, now, &mut actions);
            }
            ActKind::Abort => {
                self.fall_back(Phase::Aborted, reason, &act.actor, now, &mut actions);
            }
        }
        Ok(actions)
    }

    fn stage(&self) -> Result<Stage, Refusal> {
        let stage = self.progress.phase.stage();
        stage.ok_or_else(|| self.illegal("the candidate is not compared yet; wait, or abort"))
    }

    fn promote(
        &mut self,
        act: &Act,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let stage = self.stage()?;
        if self.progress.owed.is_some() {
            return Err(self.illegal("a rollback waits for stable to be ready"));
        }
        let reason = Reason::Operator(act.reason.clone());
        match self.progress.phase {
            // A gate that is opened does not overrule the evidence: the next tick decides.
            Phase::Held {
                reason: HoldReason::Gate,
                ..
            } => {
                self.open_all_gates(stage);
                self.go(Phase::Running(stage), reason, &act.actor, now, actions);
            }
            Phase::Held {
                reason: HoldReason::Unknown | HoldReason::Shadow,
                ..
            } => {
                self.open_all_gates(stage);
                self.rise_by(&act.actor, stage, reason, now, actions);
            }
            Phase::Held { .. } => return Err(self.illegal("resume it first")),
            Phase::Running(_) => {
                if self.closed_gates(stage).next().is_none() {
                    let advice =
                        "no gate stands before the next weight, which comes with the verdict";
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

    fn resume_by(
        &mut self,
        act: &Act,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let Phase::Held { reason, stage } = self.progress.phase else {
            return Err(self.illegal("it is not held"));
        };
        match reason {
            HoldReason::Gate => {
                return Err(self.illegal("it waits for a gate; promote or roll back"));
            }
            HoldReason::Srm => {
                self.progress.begin_epoch(&self.config);
                let weight = self.traffic().weight;
                self.progress.evidence.start_step(&self.config, weight);
            }
            HoldReason::Drift | HoldReason::Shadow | HoldReason::Metric => {
                self.progress.evidence.acknowledge(&self.config);
            }
            HoldReason::Unknown | HoldReason::StableBurning | HoldReason::Operator => {}
        }
        self.progress.waiting_since = now;
        let words = Reason::Operator(act.reason.clone());
        self.go(Phase::Running(stage), words, &act.actor, now, actions);
        Ok(())
    }

    fn open_all_gates(&mut self, stage: Stage) {
        let closed: Vec<_> = self.closed_gates(stage).collect();
        for place in closed {
            if let Some(gate) = self.progress.gates.get_mut(place) {
                gate.is_open = true;
            }
        }
    }

    fn illegal(&self, advice: &'static str) -> Refusal {
        Refusal::Illegal {
            state: self.progress.phase.as_str(),
            advice,
        }
    }
}
