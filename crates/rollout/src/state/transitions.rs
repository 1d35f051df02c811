//! Transitions of a rollout: each sets the phase, sets the traffic, and is recorded.

use api::rollout::GuardReport;

use super::actions::{Action, Alert, Arm, Traffic, Transition};
use super::phase::{HoldReason, Phase, Stage};
use super::progress::PendingTransition;
use super::reason::Reason;
use super::{Rollout, SYSTEM_ACTOR};
use crate::config::{GatePosition, Strategy};
use crate::timestamp::Timestamp;

impl Rollout {
    /// Returns the traffic that the current phase requires.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let (weight, is_shadowing) = match self.progress.phase {
            Phase::Running(stage) | Phase::Held { stage, .. } => match stage {
                Stage::Baseline => (0.0, false),
                Stage::Shadow => (0.0, true),
                Stage::Step(step) => (self.config.weight_of_step(step), false),
                Stage::Promoting | Stage::Soak => (1.0, false),
            },
            Phase::Completed if self.config.strategy != Strategy::Shadow => (1.0, false),
            Phase::Pending
            | Phase::Warmup
            | Phase::Completed
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Failed => (0.0, false),
        };
        let shadow = self.config.shadow.filter(|_| is_shadowing);
        Traffic {
            weight,
            shadow: shadow.map_or(0.0, |shadow| shadow.share),
            generation: self.progress.generation,
        }
    }

    /// Moves to a phase. The traffic is set before the transition is recorded.
    pub(super) fn transition_to(
        &mut self,
        to: Phase,
        reason: Reason,
        actor: &str,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let before = self.traffic();
        let from = std::mem::replace(&mut self.progress.phase, to);
        self.progress.since = now;
        self.progress.last_reason = Some(reason.clone());
        self.progress.generation += 1;
        let traffic = self.traffic();
        if (before.weight, before.shadow) != (traffic.weight, traffic.shadow) {
            actions.push(Action::SetTraffic(traffic));
        }
        actions.push(Action::Record(Box::new(Transition {
            from,
            to,
            reason,
            actor: actor.to_owned(),
            at: now,
            generation: self.progress.generation,
            evidence: self.progress.evidence.clone(),
        })));
    }

    pub(super) fn candidate_ready(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.progress.phase != Phase::Pending {
            return;
        }
        self.transition_to(Phase::Warmup, Reason::Loaded, SYSTEM_ACTOR, now, actions);
        match self.config.warmup {
            Some(_) => actions.push(Action::WarmUp),
            None => self.finish_warmup(now, actions),
        }
    }

    /// Fails or rolls back because the candidate cannot be used. Failures of requests that it
    /// answers are left to the guards.
    pub(super) fn candidate_failed(
        &mut self,
        reason: Reason,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        match self.progress.phase {
            Phase::Pending | Phase::Warmup => self.fail(reason, now, actions),
            Phase::Running(_) | Phase::Held { .. } => {
                self.roll_back(Phase::RolledBack, reason, SYSTEM_ACTOR, now, actions);
            }
            Phase::Completed | Phase::RolledBack | Phase::Aborted | Phase::Failed => {}
        }
    }

    /// Counts failed loads of the candidate, whose guard knows the error.
    pub(super) fn load_failed(
        &mut self,
        n: u64,
        error: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let count = &mut self.progress.guards.load_failure;
        *count += n;
        let limit = self.config.guards.load_failure;
        if limit.is_some_and(|limit| *count >= limit) {
            self.candidate_failed(Reason::LoadFailed(error), now, actions);
        }
    }

    fn fail(&mut self, reason: Reason, now: Timestamp, actions: &mut Vec<Action>) {
        self.transition_to(Phase::Failed, reason, SYSTEM_ACTOR, now, actions);
        actions.push(self.release_candidate());
    }

    pub(super) fn guard_fired(
        &mut self,
        guard: &GuardReport,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let reason = Reason::GuardReached {
            guard: guard.name,
            count: guard.count,
            limit: guard.limit,
        };
        match self.progress.phase {
            Phase::Pending | Phase::Warmup => self.fail(reason, now, actions),
            Phase::Running(_)
            | Phase::Held { .. }
            | Phase::Completed
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Failed => {
                self.roll_back(Phase::RolledBack, reason, SYSTEM_ACTOR, now, actions)
            }
        }
    }

    /// Starts the shadow stage, or advances when there is none. Without a stage beside the candidate,
    /// stable is measured first: a soak without its rates would find nothing.
    pub(super) fn finish_warmup(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.progress.waiting_since = now;
        match self.config.shadow {
            Some(_) => {
                let shadow = Phase::Running(Stage::Shadow);
                self.transition_to(shadow, Reason::WarmedUp, SYSTEM_ACTOR, now, actions);
            }
            None if self.config.strategy == Strategy::BlueGreen => {
                let baseline = Phase::Running(Stage::Baseline);
                self.transition_to(baseline, Reason::WarmedUp, SYSTEM_ACTOR, now, actions);
                self.begin_step(now);
            }
            None => self.advance(Stage::Shadow, Reason::WarmedUp, now, actions),
        }
    }

    /// Advances to the next weight, through the gates before it.
    pub(super) fn advance(
        &mut self,
        stage: Stage,
        reason: Reason,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.advance_as(SYSTEM_ACTOR, stage, reason, now, actions);
    }

    pub(super) fn advance_as(
        &mut self,
        actor: &str,
        stage: Stage,
        reason: Reason,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.closed_gates(stage).next().is_some() {
            let held = Phase::Held {
                reason: HoldReason::Gate,
                stage,
            };
            self.transition_to(held, Reason::Held(HoldReason::Gate), actor, now, actions);
            return self.call_gates(stage, now, actions);
        }
        if self.config.strategy == Strategy::Shadow {
            self.transition_to(Phase::Completed, reason, actor, now, actions);
            return actions.push(self.release_candidate());
        }
        let next = match self.next_position(stage) {
            GatePosition::Step(step) => Stage::Step(step),
            GatePosition::Promote => Stage::Promoting,
        };
        // The transition is recorded with the evidence before the window of the new step is
        // emptied.
        self.transition_to(Phase::Running(next), reason, actor, now, actions);
        self.begin_step(now);
    }

    /// Starts the counts and clocks of a new weight.
    fn begin_step(&mut self, now: Timestamp) {
        self.progress.entered = now;
        self.progress.waiting_since = now;
        self.progress.n_candidate_requests = 0;
        // With all traffic on the candidate there is nothing to compare.
        if self.traffic().weight < 1.0 {
            self.progress.evidence.start_step(&self.config);
        }
    }

    pub(super) fn hold(&mut self, reason: HoldReason, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(stage) = self.progress.phase.stage() else {
            return;
        };
        let held = Phase::Held { reason, stage };
        self.transition_to(held, Reason::Held(reason), SYSTEM_ACTOR, now, actions);
        if reason == HoldReason::StableMissing {
            actions.push(Action::Alert(Alert::StableMissing));
        }
    }

    /// Returns from held to the stage. The clock of the verdict starts again, except after a gate,
    /// where the verdict was there.
    pub(super) fn release(
        &mut self,
        reason: HoldReason,
        stage: Stage,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if reason != HoldReason::Gate {
            self.progress.waiting_since = now;
        }
        let running = Phase::Running(stage);
        self.transition_to(
            running,
            Reason::Released(reason),
            SYSTEM_ACTOR,
            now,
            actions,
        );
    }

    /// Rolls back to stable when it is ready, and otherwise as soon as it is.
    pub(super) fn roll_back(
        &mut self,
        to: Phase,
        reason: Reason,
        actor: &str,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.must_wait_for_stable() {
            self.defer(to, reason, actor, actions);
            return;
        }
        self.transition_to(to, reason, actor, now, actions);
        actions.push(self.release_candidate());
    }

    /// Starts again with the warm-up (R6): another artifact is another candidate.
    pub(super) fn restart(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.progress.phase == Phase::Pending {
            return;
        }
        if self.must_wait_for_stable() {
            return self.defer(
                Phase::Warmup,
                Reason::CandidateChanged,
                SYSTEM_ACTOR,
                actions,
            );
        }
        self.transition_to(
            Phase::Warmup,
            Reason::CandidateChanged,
            SYSTEM_ACTOR,
            now,
            actions,
        );
        self.progress.begin_epoch(&self.config);
        self.progress.close_gates(&self.config, now);
        self.progress.guards = super::GuardReadings::default();
        self.progress.n_pairs = 0;
        self.progress.soak = None;
        match self.config.warmup {
            Some(_) => actions.extend([Action::Load, Action::WarmUp]),
            None => {
                actions.push(Action::Load);
                self.finish_warmup(now, actions);
            }
        }
    }

    /// Returns whether the candidate has traffic that stable cannot take (R7).
    fn must_wait_for_stable(&self) -> bool {
        self.traffic().weight > 0.0 && !self.progress.is_stable_ready
    }

    fn defer(&mut self, to: Phase, reason: Reason, actor: &str, actions: &mut Vec<Action>) {
        self.progress.pending_transition = Some(PendingTransition {
            to,
            reason,
            actor: actor.to_owned(),
        });
        actions.push(Action::Alert(Alert::StableNotReady));
    }

    fn release_candidate(&self) -> Action {
        Action::Release {
            arm: Arm::Candidate,
            after: self.config.on_rollback.keep_candidate_warm,
        }
    }
}
