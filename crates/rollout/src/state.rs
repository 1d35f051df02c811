//! The course of a rollout: from "load it" to all of the traffic, or back.
//!
//! Input: events with the time at which they came; [`Rollout::handle`] gives the actions to take.
//! Rules: rollback is looked at in every block, also while held and while a gate is asked (R1);
//! guards bypass statistics (R2); the weight never rises while a blocking metric is unknown, unless
//! the file says so or an operator does (R3); a burning stable version (R4) and a split that is
//! off (R5) hold; a changed artefact begins again (R6); rollback goes to a stable version that is
//! ready, and waits for it otherwise (R7); no data is unknown, never failure (R8); every move is
//! recorded with its reason and evidence (R10). Cold start: `pending`, weight 0. Recovery: the whole
//! state is [`Progress`], plain data that a killed process reads back.

mod actions;
mod events;
mod operator;
mod phase;
mod progress;
mod status;
mod transitions;

pub use actions::{Action, Alert, Arm, Traffic, Transition};
pub use events::{Event, GuardReadings, Tick};
pub use operator::Refusal;
pub use phase::{GuardKind, HoldReason, Phase, Reason, Stage};
pub use progress::Progress;
pub use status::{ArmStatus, GuardReport, RolloutReport, SoakReport, Status};

use super::config::{GatePosition, OnUnknown, RolloutConfig};
use super::evidence::{Soak, Window};
use super::timestamp::Timestamp;

use progress::PendingTransition;

/// The name under which the rules themselves act.
const SYSTEM_ACTOR: &str = "lockgate";

/// One rollout: what it was told, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    config: RolloutConfig,
    progress: Progress,
}

/// Progress that belongs to another rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored state was made by another configuration of the rollout")]
pub struct ProgressMismatch;

impl Rollout {
    /// Starts a rollout.
    ///
    /// ```
    /// use rollout::config::RolloutConfig;
    /// use rollout::moment::Moment;
    /// use rollout::state::{Action, Event, Rollout, Tick};
    ///
    /// let text = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5]}";
    /// let (mut rollout, actions) = Rollout::start(RolloutConfig::parse(text)?, Moment(0));
    /// assert_eq!(actions, [Action::Load]);
    ///
    /// let actions = rollout.handle(Event::CandidateReady, Moment(1000));
    /// assert!(actions.contains(&Action::WarmUp));
    /// let _actions = rollout.handle(Event::WarmedUp, Moment(2000));
    /// assert_eq!(rollout.traffic().weight, 0.05);
    ///
    /// // From then on, the counts of each second.
    /// let _actions = rollout.handle(Event::Tick(Box::new(Tick::default())), Moment(3000));
    /// assert_eq!(rollout.status().state, "step");
    /// # Ok::<(), rollout::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn start(config: RolloutConfig, now: Timestamp) -> (Self, Vec<Action>) {
        let progress = Progress::new(&config, now);
        (Self { config, progress }, vec![Action::Load])
    }

    /// Goes on with a rollout after a restart; the actions bring the server to where it was.
    ///
    /// # Errors
    /// [`ProgressMismatch`] when the metrics, steps or gates are not those of the progress.
    pub fn resume(
        config: RolloutConfig,
        progress: Progress,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), ProgressMismatch> {
        if !progress.fits(&config) {
            return Err(ProgressMismatch);
        }
        let mut rollout = Self { config, progress };
        // Calls that were open are lost, so they are made again.
        rollout.progress.requery_gates(now);
        let traffic = Action::SetTraffic(rollout.traffic());
        let actions = match rollout.progress.phase {
            Phase::Warmup => vec![traffic, Action::Load, Action::WarmUp],
            // A version has to be there before requests are sent to it.
            Phase::Pending | Phase::Running(_) | Phase::Held { .. } => vec![Action::Load, traffic],
            Phase::Completed | Phase::RolledBack | Phase::Aborted | Phase::Failed => vec![traffic],
        };
        Ok((rollout, actions))
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &RolloutConfig {
        &self.config
    }

    /// How far it is: all that must be stored.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes an event in and gives what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.progress.phase.is_final() {
            return actions;
        }
        match event {
            Event::CandidateReady => self.candidate_ready(now, &mut actions),
            Event::CandidateFailed(message) => {
                self.candidate_failed(Reason::LoadFailed(message), now, &mut actions);
            }
            Event::CandidateChanged => self.restart(now, &mut actions),
            Event::WarmedUp => {
                if self.progress.phase == Phase::Warmup {
                    self.finish_warmup(now, &mut actions);
                }
            }
            Event::WarmupFailed(message) => {
                if self.progress.phase == Phase::Warmup {
                    self.candidate_failed(Reason::WarmupFailed(message), now, &mut actions);
                }
            }
            Event::ThresholdFrozen { metric, threshold } => {
                let thresholds = &mut self.progress.latency_thresholds;
                thresholds.entry(metric).or_insert(threshold);
            }
            Event::GateAnswered { gate, answer } => {
                self.gate_answered(gate, answer, now, &mut actions);
            }
            Event::Tick(tick) => self.tick(&tick, now, &mut actions),
        }
        actions
    }

    fn tick(&mut self, tick: &Tick, now: Timestamp, actions: &mut Vec<Action>) {
        self.progress.add_tick(&self.config, tick, now);
        if self.retry_pending(now, actions) {
            return;
        }
        if let Some(guard) = self.progress.guards.fired(&self.config.guards) {
            return self.guard_fired(guard, now, actions);
        }
        let Some(stage) = self.progress.phase.stage() else {
            return;
        };
        if self.progress.phase.is_held_for(HoldReason::Srm) {
            return;
        }
        if matches!(stage, Stage::Step(_)) && self.progress.evidence.has_mismatch() {
            return self.hold(HoldReason::Srm, now, actions);
        }
        if let Some(window) = self.worse(stage) {
            return self.roll_back(
                Phase::RolledBack,
                Reason::Worse(window),
                SYSTEM_ACTOR,
                now,
                actions,
            );
        }
        match self.progress.phase {
            Phase::Running(stage) => match self.hold_reason(stage, tick) {
                Some(reason) => self.hold(reason, now, actions),
                None => self.run_stage(stage, now, actions),
            },
            Phase::Held { reason, stage } => self.check_hold(reason, stage, tick, now, actions),
            Phase::Pending
            | Phase::Warmup
            | Phase::Completed
            | Phase::RolledBack
            | Phase::Aborted
            | Phase::Failed => {}
        }
    }

    /// The window in which the candidate is worse.
    fn worse(&self, stage: Stage) -> Option<Window> {
        match (stage, &self.progress.soak) {
            (Stage::Soak, Some(soak)) => soak.is_worse(&self.config).then_some(Window::Soak),
            (Stage::Shadow | Stage::Step(_) | Stage::Promoting | Stage::Soak, _) => {
                self.progress.evidence.worse(&self.config)
            }
        }
    }

    /// Why a running stage should hold.
    fn hold_reason(&self, stage: Stage, tick: &Tick) -> Option<HoldReason> {
        // With all of the traffic there is no stable arm to burn or to compare with.
        if matches!(stage, Stage::Promoting | Stage::Soak) {
            return None;
        }
        if tick.is_stable_unhealthy {
            return Some(HoldReason::StableUnhealthy);
        }
        if tick.has_drifted {
            return Some(HoldReason::Drift);
        }
        let metric = self.progress.evidence.holding_metric(&self.config)?;
        let metric = self.config.metrics.get(metric)?;
        Some(HoldReason::of_metric(&metric.kind))
    }

    /// A stage runs undisturbed: up, on, or over time.
    fn run_stage(&mut self, stage: Stage, now: Timestamp, actions: &mut Vec<Action>) {
        match stage {
            Stage::Shadow | Stage::Step(_) => {
                if self.may_advance(stage, now) {
                    let reason = match (stage, self.config.shadow) {
                        (Stage::Shadow, Some(_)) => Reason::ShadowAgrees,
                        (Stage::Shadow, None) => Reason::WarmedUp,
                        (Stage::Step(_) | Stage::Promoting | Stage::Soak, _) => Reason::NotWorse,
                    };
                    self.advance(stage, reason, now, actions);
                } else if now.since(self.progress.waiting_since) >= self.config.step.max_time {
                    self.handle_timeout(stage, now, actions);
                }
            }
            Stage::Promoting => {
                self.progress.soak = Some(Soak::new(&self.config, &self.progress.evidence, now));
                let reason = Reason::AllTraffic;
                self.transition_to(
                    Phase::Running(Stage::Soak),
                    reason,
                    SYSTEM_ACTOR,
                    now,
                    actions,
                );
            }
            Stage::Soak => {
                if now.since(self.progress.since) >= self.config.soak {
                    self.complete(now, actions);
                }
            }
        }
    }

    /// Whether the evidence and the least times and counts allow the next weight.
    fn may_advance(&self, stage: Stage, now: Timestamp) -> bool {
        let progress = &self.progress;
        match stage {
            Stage::Shadow => {
                let required = self.config.shadow.map_or(0, |shadow| shadow.min_pairs);
                progress.n_pairs >= required && progress.evidence.shadow_agrees(&self.config)
            }
            Stage::Step(_) => {
                let rule = &self.config.step;
                now.since(progress.entered) >= rule.min_time
                    && progress.n_candidate_requests >= rule.min_requests
                    && progress.evidence.is_not_worse(&self.config)
            }
            Stage::Promoting | Stage::Soak => false,
        }
    }

    fn handle_timeout(&mut self, stage: Stage, now: Timestamp, actions: &mut Vec<Action>) {
        match self.config.step.on_unknown {
            OnUnknown::Hold => {
                let reason = match stage {
                    Stage::Shadow => HoldReason::Shadow,
                    Stage::Step(_) | Stage::Promoting | Stage::Soak => HoldReason::Unknown,
                };
                self.hold(reason, now, actions);
            }
            OnUnknown::Promote => self.advance(stage, Reason::OnUnknown, now, actions),
            OnUnknown::Rollback => {
                self.roll_back(
                    Phase::RolledBack,
                    Reason::OnUnknown,
                    SYSTEM_ACTOR,
                    now,
                    actions,
                );
            }
        }
    }

    /// Held: on when the cause is gone.
    fn check_hold(
        &mut self,
        reason: HoldReason,
        stage: Stage,
        tick: &Tick,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let is_over = match reason {
            HoldReason::Unknown => self.may_advance(stage, now),
            HoldReason::Shadow | HoldReason::Drift | HoldReason::Metric => {
                self.hold_reason(stage, tick).is_none()
                    && (reason != HoldReason::Shadow || self.may_advance(stage, now))
            }
            HoldReason::StableUnhealthy => !tick.is_stable_unhealthy,
            HoldReason::Gate => {
                self.call_gates(stage, now, actions);
                self.closed_gates(stage).next().is_none()
            }
            HoldReason::Srm | HoldReason::Operator => false,
        };
        if is_over {
            self.release(reason, stage, now, actions);
        }
    }

    /// Leads a healthy soak to its end.
    fn complete(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.transition_to(Phase::Completed, Reason::Soaked, SYSTEM_ACTOR, now, actions);
        actions.push(Action::Release {
            arm: Arm::Stable,
            after: self.config.on_rollback.keep_candidate_warm,
        });
    }

    /// The move that follows a stage upwards.
    fn next_position(&self, stage: Stage) -> GatePosition {
        let next = match stage {
            Stage::Shadow => 0,
            Stage::Step(step) => step + 1,
            Stage::Promoting | Stage::Soak => return GatePosition::Promote,
        };
        match next < self.config.steps.len() {
            true => GatePosition::Step(next),
            false => GatePosition::Promote,
        }
    }

    /// What is still to be done when a rollback could not be: true when this tick did something.
    fn retry_pending(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let Some(PendingTransition { to, reason, actor }) =
            self.progress.pending_transition.clone()
        else {
            return false;
        };
        if self.progress.is_stable_ready {
            self.progress.pending_transition = None;
            if to == Phase::Warmup {
                self.restart(now, actions);
            } else {
                self.roll_back(to, reason, &actor, now, actions);
            }
        }
        // Until it is done nothing rises.
        true
    }
}

#[cfg(test)]
mod tests;
