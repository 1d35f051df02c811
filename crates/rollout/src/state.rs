//! State machine of a rollout: from loading the candidate to all traffic, or back to stable.
//!
//! Input: events with the time at which they came; [`Rollout::handle`] returns the actions to take.
//! Rules: rollback is checked in every block, also while held and while a gate is closed (R1);
//! guards bypass statistics (R2); the weight never rises while a blocking metric is unknown, unless
//! the file allows it or an operator promotes (R3); an unhealthy stable version (R4) and a
//! sample-ratio mismatch (R5) hold; a changed artifact starts again (R6); rollback goes to a stable
//! version that is ready, and waits for it otherwise (R7); no data is unknown, never failure (R8);
//! every transition is recorded with its reason and evidence (R10). Cold start: weight 0 in
//! `pending`. Recovery: the whole state is [`Progress`], plain data that is read back after the
//! process was killed.

mod actions;
mod baseline;
mod events;
mod gates;
mod missing;
mod missing_versions;
mod operator;
mod phase;
mod progress;
mod queries;
mod query_progress;
mod reason;
mod status;
mod transitions;
mod worse;

pub use actions::{Action, Alert, Arm, QueryIndex, Traffic, Transition};
pub use events::{Availability, Event, GuardReadings, Tick};
pub use operator::Refusal;
pub use phase::{HoldReason, Phase, Stage};
pub use progress::Progress;
pub use reason::{Counted, Reason, WorseMetric};

use super::config::{GatePosition, OnUnknown, RolloutConfig};
use super::evidence::Soak;
use super::timestamp::Timestamp;

use progress::PendingTransition;

/// The actor of transitions that no operator made.
const SYSTEM_ACTOR: &str = "lockgate";

/// A rollout: its configuration and its progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    config: RolloutConfig,
    progress: Progress,
    /// The time of the last tick, which is not worth a write of the progress.
    last_tick: Timestamp,
}

/// The error for progress that belongs to another rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored rollout state was made with another configuration")]
pub struct ProgressMismatch;

impl Rollout {
    /// Starts a rollout.
    ///
    /// ```
    /// use api::rollout::RolloutState;
    /// use rollout::config::RolloutConfig;
    /// use rollout::timestamp::Timestamp;
    /// use rollout::state::{Action, Event, Rollout, Tick};
    ///
    /// let text = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5]}";
    /// let (mut rollout, actions) = Rollout::start(RolloutConfig::parse(text)?, Timestamp(0));
    /// assert_eq!(actions, [Action::Load]);
    ///
    /// let actions = rollout.handle(Event::CandidateReady, Timestamp(1000));
    /// assert!(actions.contains(&Action::WarmUp));
    /// let _actions = rollout.handle(Event::WarmedUp, Timestamp(2000));
    /// assert_eq!(rollout.traffic().weight, 0.05);
    ///
    /// // From then on, the counts of each second.
    /// let _actions = rollout.handle(Event::Tick(Box::new(Tick::default())), Timestamp(3000));
    /// assert_eq!(rollout.status().state, RolloutState::Step);
    /// # Ok::<(), rollout::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn start(config: RolloutConfig, now: Timestamp) -> (Self, Vec<Action>) {
        let progress = Progress::new(&config, now);
        let rollout = Self {
            config,
            progress,
            last_tick: now,
        };
        (rollout, vec![Action::Load])
    }

    /// Continues a rollout after a restart; the actions bring the server to its stored state.
    ///
    /// # Errors
    /// [`ProgressMismatch`] when the metrics, steps or gates differ from those of the progress.
    pub fn resume(
        config: RolloutConfig,
        progress: Progress,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), ProgressMismatch> {
        if !progress.fits(&config) {
            return Err(ProgressMismatch);
        }
        let mut rollout = Self {
            config,
            progress,
            last_tick: now,
        };
        // Open calls were lost with the process, so they are made again.
        rollout.progress.requery_gates(now);
        let traffic = Action::SetTraffic(rollout.traffic());
        let actions = match rollout.progress.phase {
            Phase::Warmup => vec![traffic, Action::Load, Action::WarmUp],
            // A version must be loaded before requests are sent to it.
            Phase::Pending | Phase::Running(_) | Phase::Held { .. } => vec![Action::Load, traffic],
            Phase::Completed | Phase::RolledBack | Phase::Aborted | Phase::Failed => vec![traffic],
        };
        Ok((rollout, actions))
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &RolloutConfig {
        &self.config
    }

    /// Returns the progress, which is all that must be stored.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Handles an event and returns the actions to take, in order.
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
            Event::LoadFailed { n, error } => self.load_failed(n, error, now, &mut actions),
            // Later, the next tick rolls back.
            Event::CandidateMissing if self.progress.phase.stage().is_some() => {}
            Event::CandidateMissing => {
                self.candidate_failed(Reason::CandidateMissing, now, &mut actions);
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
            Event::QueryAnswered { query, reading } => {
                self.query_answered(query, &reading, now, &mut actions);
            }
            Event::Tick(tick) => self.tick(&tick, now, &mut actions),
        }
        actions
    }

    fn tick(&mut self, tick: &Tick, now: Timestamp, actions: &mut Vec<Action>) {
        self.last_tick = now;
        self.progress.add_tick(&self.config, tick, now);
        if self.retry_pending(now, actions) {
            return;
        }
        if self.is_candidate_gone(tick) {
            return self.candidate_failed(Reason::CandidateMissing, now, actions);
        }
        self.query_guards(now, actions);
        if let Some(guard) = self.progress.guards.fired(&self.config.guards) {
            return self.guard_fired(&guard, now, actions);
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
        if let Some(reason) = self.worse(stage) {
            return self.roll_back(Phase::RolledBack, reason, SYSTEM_ACTOR, now, actions);
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

    /// Returns the reason why a running stage must hold.
    fn hold_reason(&self, stage: Stage, tick: &Tick) -> Option<HoldReason> {
        // With all traffic on the candidate there is no stable arm to compare with.
        if matches!(stage, Stage::Promoting | Stage::Soak) {
            return None;
        }
        if tick.is_stable_gone() {
            return Some(HoldReason::StableMissing);
        }
        if tick.is_stable_unhealthy && !self.progress.ignores_stable_alarm {
            return Some(HoldReason::StableUnhealthy);
        }
        if tick.has_drifted {
            return Some(HoldReason::Drift);
        }
        if self.has_invalid_guard() {
            return Some(HoldReason::GuardQuery);
        }
        let metric = self.progress.evidence.holding_metric(&self.config)?;
        let metric = self.config.metrics.get(metric)?;
        Some(HoldReason::of_metric(&metric.kind))
    }

    /// Runs a stage that has no reason to hold: advances it, completes it, or handles its timeout.
    fn run_stage(&mut self, stage: Stage, now: Timestamp, actions: &mut Vec<Action>) {
        match stage {
            Stage::Baseline | Stage::Shadow | Stage::Step(_) => {
                if self.may_advance(stage, now) {
                    let reason = match (stage, self.config.shadow) {
                        (Stage::Shadow, Some(_)) => Reason::ShadowAgrees,
                        (Stage::Shadow, None) => Reason::WarmedUp,
                        (Stage::Baseline, _) => Reason::BaselineMeasured,
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

    /// Returns whether the evidence and the minimum times and counts allow the next weight.
    fn may_advance(&self, stage: Stage, now: Timestamp) -> bool {
        let progress = &self.progress;
        match stage {
            Stage::Baseline => {
                now.since(progress.entered) >= self.config.step.min_time && self.has_baseline()
            }
            Stage::Shadow => {
                let required = self.config.shadow.map_or(0, |shadow| shadow.min_pairs);
                progress.n_pairs >= required
                    && progress.evidence.shadow_agrees(&self.config)
                    && self.has_baseline()
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
                    Stage::Baseline | Stage::Step(_) | Stage::Promoting | Stage::Soak => {
                        HoldReason::Unknown
                    }
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

    /// Releases a hold when its cause is gone.
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
            HoldReason::GuardQuery => !self.has_invalid_guard(),
            HoldReason::StableMissing => tick.stable == Availability::Ready,
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

    /// Completes the rollout after a healthy soak.
    fn complete(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.transition_to(Phase::Completed, Reason::Soaked, SYSTEM_ACTOR, now, actions);
        actions.push(Action::Release {
            arm: Arm::Stable,
            after: self.config.on_rollback.keep_candidate_warm,
        });
    }

    /// Returns the position that follows a stage.
    fn next_position(&self, stage: Stage) -> GatePosition {
        let next = match stage {
            Stage::Baseline | Stage::Shadow => 0,
            Stage::Step(step) => step + 1,
            Stage::Promoting | Stage::Soak => return GatePosition::Promote,
        };
        match next < self.config.steps.len() {
            true => GatePosition::Step(next),
            false => GatePosition::Promote,
        }
    }

    /// Retries a deferred rollback; returns whether one was pending, which ends the tick.
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
        // The weight must not rise before that rollback.
        true
    }
}

#[cfg(test)]
mod tests;
