//! The moves of a rollout: each sets the phase, tells the traffic, and is recorded.

use contract::GateAnswer;

use super::actions::{Action, Alert, Arm, Traffic, Transition};
use super::phase::{GuardKind, HoldReason, Phase, Reason, Stage};
use super::progress::Owed;
use super::{ITSELF, Rollout};
use crate::rollout::config::{GateKind, GatePlace, Strategy};
use crate::rollout::moment::Moment;

impl Rollout {
    /// How the traffic is to be shared out now.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let (weight, is_shadowing) = match self.progress.phase {
            Phase::Running(stage) | Phase::Held { stage, .. } => match stage {
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

    /// Moves to a phase. Traffic is told first.
    pub(super) fn go(
        &mut self,
        to: Phase,
        reason: Reason,
        actor: &str,
        now: Moment,
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

    pub(super) fn candidate_ready(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.progress.phase != Phase::Pending {
            return;
        }
        self.go(Phase::Warmup, Reason::Loaded, ITSELF, now, actions);
        match self.config.warmup {
            Some(_) => actions.push(Action::WarmUp),
            None => self.leave_warmup(now, actions),
        }
    }

    /// The candidate cannot be used. Once it answers requests that is a matter of the guards.
    pub(super) fn candidate_failed(
        &mut self,
        reason: Reason,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        match self.progress.phase {
            Phase::Pending | Phase::Warmup => self.fail(reason, now, actions),
            Phase::Running(_) | Phase::Held { .. } => {
                self.fall_back(Phase::RolledBack, reason, ITSELF, now, actions);
            }
            Phase::Completed | Phase::RolledBack | Phase::Aborted | Phase::Failed => {}
        }
    }

    fn fail(&mut self, reason: Reason, now: Moment, actions: &mut Vec<Action>) {
        self.go(Phase::Failed, reason, ITSELF, now, actions);
        actions.push(self.release_candidate());
    }

    pub(super) fn guard_fired(&mut self, guard: GuardKind, now: Moment, actions: &mut Vec<Action>) {
        let reason = Reason::Guard(guard);
        match self.progress.phase {
            Phase::Pending | Phase::Warmup => self.fail(reason, now, actions),
            Phase::Running(_)
            | Phase::Held { .. }
            | Phase::Completed
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Failed => self.fall_back(Phase::RolledBack, reason, ITSELF, now, actions),
        }
    }

    /// To the shadow, or straight up when there is none.
    pub(super) fn leave_warmup(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.progress.waiting_since = now;
        match self.config.shadow {
            Some(_) => {
                let shadow = Phase::Running(Stage::Shadow);
                self.go(shadow, Reason::WarmedUp, ITSELF, now, actions);
            }
            None => self.rise(Stage::Shadow, Reason::WarmedUp, now, actions),
        }
    }

    /// To the next weight, through the gates before it.
    pub(super) fn rise(
        &mut self,
        stage: Stage,
        reason: Reason,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        self.rise_by(ITSELF, stage, reason, now, actions);
    }

    pub(super) fn rise_by(
        &mut self,
        actor: &str,
        stage: Stage,
        reason: Reason,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        if self.closed_gates(stage).next().is_some() {
            let held = Phase::Held {
                reason: HoldReason::Gate,
                stage,
            };
            self.go(held, Reason::Held(HoldReason::Gate), actor, now, actions);
            return self.call_gates(stage, now, actions);
        }
        if self.config.strategy == Strategy::Shadow {
            self.go(Phase::Completed, reason, actor, now, actions);
            return actions.push(self.release_candidate());
        }
        let next = match self.next_place(stage) {
            GatePlace::Step(step) => Stage::Step(step),
            GatePlace::Promote => Stage::Promoting,
        };
        // The record holds what was known before the window of the new step is emptied.
        self.go(Phase::Running(next), reason, actor, now, actions);
        self.enter(now);
    }

    /// A weight begins.
    fn enter(&mut self, now: Moment) {
        let weight = self.traffic().weight;
        self.progress.entered = now;
        self.progress.waiting_since = now;
        self.progress.n_candidate_requests = 0;
        self.progress.evidence.start_step(&self.config, weight);
    }

    pub(super) fn hold(&mut self, reason: HoldReason, now: Moment, actions: &mut Vec<Action>) {
        let Some(stage) = self.progress.phase.stage() else {
            return;
        };
        let held = Phase::Held { reason, stage };
        self.go(held, Reason::Held(reason), ITSELF, now, actions);
    }

    /// Back from held to where it was. The clock of the verdict starts again, except after a gate,
    /// where the verdict was there.
    pub(super) fn release(
        &mut self,
        reason: HoldReason,
        stage: Stage,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        if reason != HoldReason::Gate {
            self.progress.waiting_since = now;
        }
        let running = Phase::Running(stage);
        self.go(running, Reason::Released(reason), ITSELF, now, actions);
    }

    /// Down: to stable when it is ready, and otherwise as soon as it is.
    pub(super) fn fall_back(
        &mut self,
        to: Phase,
        reason: Reason,
        actor: &str,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        if self.must_wait_for_stable() {
            self.owe(to, reason, actor, actions);
            return;
        }
        self.go(to, reason, actor, now, actions);
        actions.push(self.release_candidate());
    }

    /// R6: another artefact is another candidate.
    pub(super) fn begin_again(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.progress.phase == Phase::Pending {
            return;
        }
        if self.must_wait_for_stable() {
            return self.owe(Phase::Warmup, Reason::CandidateChanged, ITSELF, actions);
        }
        self.go(
            Phase::Warmup,
            Reason::CandidateChanged,
            ITSELF,
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
                self.leave_warmup(now, actions);
            }
        }
    }

    /// R7: whether the candidate has traffic that stable cannot take.
    fn must_wait_for_stable(&self) -> bool {
        self.traffic().weight > 0.0 && !self.progress.is_stable_ready
    }

    fn owe(&mut self, to: Phase, reason: Reason, actor: &str, actions: &mut Vec<Action>) {
        self.progress.owed = Some(Owed {
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

    /// The places of the gates that still stand before the next weight.
    pub(super) fn closed_gates(&self, stage: Stage) -> impl Iterator<Item = usize> {
        let next = self.next_place(stage);
        let gates = self.config.gates.iter().zip(&self.progress.gates);
        let closed = gates
            .enumerate()
            .filter(move |(_, (gate, progress))| gate.before == next && !progress.is_open);
        closed.map(|(place, _)| place)
    }

    /// Asks the webhooks that are due.
    pub(super) fn call_gates(&mut self, stage: Stage, now: Moment, actions: &mut Vec<Action>) {
        let closed: Vec<_> = self.closed_gates(stage).collect();
        for place in closed {
            let gate = self.config.gates.get(place);
            let is_webhook = gate.is_some_and(|gate| gate.asks != GateKind::Manual);
            let progress = self.progress.gates.get_mut(place);
            if is_webhook && progress.is_some_and(|progress| progress.is_due(now)) {
                actions.push(Action::AskGate(place));
            }
        }
    }

    pub(super) fn gate_answered(
        &mut self,
        gate: usize,
        answer: GateAnswer,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let Some(progress) = self.progress.gates.get_mut(gate) else {
            return;
        };
        match answer {
            GateAnswer::Go => progress.is_open = true,
            GateAnswer::Wait => progress.wait(now),
            GateAnswer::RollBack => {
                self.fall_back(Phase::RolledBack, Reason::Gate, ITSELF, now, actions);
            }
        }
    }
}
