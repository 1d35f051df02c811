//! Progress of a rollout: all that must survive a restart, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::events::{Availability, GuardReadings, Tick};
use super::gates::{GateProgress, closed_gate_progress};
use super::phase::{Phase, Stage};
use super::reason::Reason;
use crate::config::RolloutConfig;
use crate::evidence::{Evidence, Soak};
use crate::timestamp::Timestamp;

/// The progress of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// The time at which the phase began.
    pub since: Timestamp,
    /// The reason of the last transition; none before the first.
    pub last_reason: Option<Reason>,
    /// The number of the state, which grows with every transition.
    pub generation: u64,
    /// The number of the evidence, which grows whenever it starts again.
    pub epoch: u64,
    /// The evidence about the candidate.
    pub evidence: Evidence,
    /// Requests to the candidate in this step.
    pub n_candidate_requests: u64,
    /// Pairs of answers that were compared.
    pub n_pairs: u64,
    /// The sums and maxima of the guard readings.
    pub guards: GuardReadings,
    /// Latencies from which requests are events, by metric.
    pub latency_thresholds: BTreeMap<String, Duration>,
    /// The CUSUM tests of the soak.
    pub soak: Option<Soak>,
    /// The time at which the step began.
    pub(super) entered: Timestamp,
    /// The time since which the step waits undisturbed for a verdict.
    pub(super) waiting_since: Timestamp,
    pub(super) gates: Vec<GateProgress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) guard_queries: Vec<GateProgress>,
    #[serde(alias = "owed")]
    pub(super) pending_transition: Option<PendingTransition>,
    pub(super) is_stable_ready: bool,
    /// Set when an operator went on in spite of stable's alarm, until the alarm ends.
    #[serde(default)]
    pub(super) ignores_stable_alarm: bool,
}

/// A rollback or restart that waits for stable to be ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingTransition {
    pub(super) to: Phase,
    pub(super) reason: Reason,
    pub(super) actor: String,
}

impl Progress {
    pub(super) fn new(config: &RolloutConfig, now: Timestamp) -> Self {
        Self {
            phase: Phase::Pending,
            since: now,
            last_reason: None,
            generation: 1,
            epoch: 1,
            evidence: Evidence::new(config),
            n_candidate_requests: 0,
            n_pairs: 0,
            guards: GuardReadings::default(),
            latency_thresholds: BTreeMap::new(),
            soak: None,
            entered: now,
            waiting_since: now,
            gates: closed_gate_progress(config.gates.len(), now),
            guard_queries: closed_gate_progress(config.guard_queries.len(), now),
            pending_transition: None,
            is_stable_ready: true,
            ignores_stable_alarm: false,
        }
    }

    /// Returns whether the progress belongs to a rollout with this configuration.
    pub(super) fn fits(&self, config: &RolloutConfig) -> bool {
        let is_step_known = match self.phase.stage() {
            Some(Stage::Step(step)) => step < config.steps.len(),
            Some(Stage::Baseline | Stage::Shadow | Stage::Promoting | Stage::Soak) | None => true,
        };
        is_step_known
            && self.gates.len() == config.gates.len()
            && self.guard_queries.len() == config.guard_queries.len()
            && self.evidence.fits(config)
    }

    /// Adds the counts of a tick.
    pub(super) fn add_tick(&mut self, config: &RolloutConfig, tick: &Tick, now: Timestamp) {
        self.is_stable_ready = tick.stable == Availability::Ready;
        self.ignores_stable_alarm &= tick.is_stable_unhealthy;
        self.guards.add(&tick.guards);
        let stage = self.phase.stage();
        match (
            stage.filter(|&stage| tick.is_comparable(stage)),
            &mut self.soak,
        ) {
            // Counts of the candidate before the first stage, late ones of another artifact, and
            // those of a version that answered for both arms are ignored.
            (None, _) if stage.is_none() => {
                for block in &tick.blocks {
                    self.evidence.add_baseline(block);
                }
            }
            (None, _) => {}
            (Some(Stage::Soak), Some(soak)) => soak.add(&tick.blocks, now),
            (
                Some(
                    Stage::Baseline
                    | Stage::Shadow
                    | Stage::Step(_)
                    | Stage::Promoting
                    | Stage::Soak,
                ),
                _,
            ) => {
                self.n_candidate_requests += tick.n_candidate_requests;
                self.n_pairs += tick.n_pairs;
                for block in &tick.blocks {
                    self.evidence.add(config, block, now);
                }
            }
        }
    }

    /// Starts the evidence again: the artifact is another one, or the split was repaired.
    pub(super) fn begin_epoch(&mut self, config: &RolloutConfig) {
        self.epoch += 1;
        self.evidence = Evidence::new(config);
        self.n_candidate_requests = 0;
    }

    pub(super) fn close_gates(&mut self, config: &RolloutConfig, now: Timestamp) {
        self.gates = closed_gate_progress(config.gates.len(), now);
        self.guard_queries = closed_gate_progress(config.guard_queries.len(), now);
    }

    pub(super) fn requery_gates(&mut self, now: Timestamp) {
        for gate in self.gates.iter_mut().chain(&mut self.guard_queries) {
            gate.requery(now);
        }
    }
}
