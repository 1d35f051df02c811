//! Samples of the counters, and the ticks that the state machine gets.

use super::RolloutTask;
use crate::driver::blocks::{add_deltas, blocks};
use crate::driver::counter_deltas::{Totals, thresholds};
use crate::state::{Event, GuardReadings, Tick};

impl RolloutTask {
    /// Samples the counters and passes them to the state machine.
    pub(super) async fn sample_counters(&mut self) {
        if let Some(changed) = self.changed_candidate() {
            self.handle_event(changed).await;
        }
        if let Some(failed) = self.new_failed_loads() {
            self.handle_event(failed).await;
        }
        let epoch = self.rollout.config().assignment_epoch(self.clock.now());
        if epoch != self.assignment_epoch {
            self.set_traffic(self.rollout.traffic()).await;
        }
        let totals = self.traffic.totals();
        let progress = self.rollout.progress();
        let config = self.rollout.config();
        let stable = &totals.arms.stable;
        for event in thresholds(config, &progress.latency_thresholds, stable) {
            let actions = self.rollout.handle(event, self.clock.now());
            self.apply_actions(actions).await;
        }
        let tick = self.tick(totals);
        let actions = self
            .rollout
            .handle(Event::Tick(Box::new(tick)), self.clock.now());
        self.apply_actions(actions).await;
    }

    fn tick(&mut self, totals: Totals) -> Tick {
        let now = self.clock.now();
        let deltas = self.counter_deltas.sample(totals);
        self.error_runs
            .add(self.traffic.take_longest_error_runs(), now);
        let config = self.rollout.config();
        let thresholds = &self.rollout.progress().latency_thresholds;
        let mut observations = self.traffic.take_observations();
        if let Some(counted_units) = &mut self.counted_units {
            counted_units.retain_new(&mut observations);
        }
        self.record.n_counted = self.traffic.n_counted();
        let mut blocks = blocks(config, thresholds, observations);
        if let Some(block) = blocks.last_mut() {
            add_deltas(config, block, &deltas);
        }
        Tick {
            blocks,
            n_candidate_requests: deltas.n_candidate_requests,
            n_pairs: deltas.pairs.n(),
            guards: GuardReadings {
                memory_ratio: self.memory_ratio().unwrap_or_default(),
                consecutive_errors: self.error_runs.take_candidate_alone(now),
                ..deltas.guards
            },
            is_stable_unhealthy: self.baseline_alarm.add(deltas.stable, now),
            has_drifted: false,
            stable: self.availability(&self.rollout.config().stable),
            candidate: self.availability(&self.rollout.config().candidate),
        }
    }

    /// Returns whether a guard has reached its limit, which ends the rollout at once.
    pub(super) fn has_guard_fired(&mut self) -> bool {
        let now = self.clock.now();
        self.error_runs
            .add(self.traffic.take_longest_error_runs(), now);
        let guards = self.rollout.config().guards;
        let limit = guards.consecutive_errors.unwrap_or(u64::MAX);
        self.error_runs.candidate_alone(now) >= limit && !self.rollout.progress().phase.is_final()
    }
}
