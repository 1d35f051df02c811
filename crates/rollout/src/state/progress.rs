//! Progress of a rollout: all that must survive a restart, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::events::{Availability, GuardReadings, Tick};
use super::phase::{Phase, Reason, Stage};
use crate::config::RolloutConfig;
use crate::evidence::{Evidence, Soak};
use crate::timestamp::Timestamp;

/// The first delay after a gate that did not open.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);

/// The maximum delay.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

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
    #[serde(alias = "owed")]
    pub(super) pending_transition: Option<PendingTransition>,
    pub(super) is_stable_ready: bool,
}

/// The progress of a gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GateProgress {
    pub(super) is_open: bool,
    /// The number of calls that did not open it.
    n_refusals: u32,
    /// The time of the next call; `None` while an answer is due.
    next_call: Option<Timestamp>,
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
            gates: closed_gate_progress(config, now),
            pending_transition: None,
            is_stable_ready: true,
        }
    }

    /// Returns whether the progress belongs to a rollout with this configuration.
    pub(super) fn fits(&self, config: &RolloutConfig) -> bool {
        let is_step_known = match self.phase.stage() {
            Some(Stage::Step(step)) => step < config.steps.len(),
            Some(Stage::Shadow | Stage::Promoting | Stage::Soak) | None => true,
        };
        is_step_known && self.gates.len() == config.gates.len() && self.evidence.fits(config)
    }

    /// Adds the counts of a tick.
    pub(super) fn add_tick(&mut self, config: &RolloutConfig, tick: &Tick, now: Timestamp) {
        self.is_stable_ready = tick.stable == Availability::Ready;
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
            (Some(Stage::Shadow | Stage::Step(_) | Stage::Promoting | Stage::Soak), _) => {
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
        self.gates = closed_gate_progress(config, now);
    }

    pub(super) fn requery_gates(&mut self, now: Timestamp) {
        for gate in &mut self.gates {
            gate.next_call = Some(now);
        }
    }
}

fn closed_gate_progress(config: &RolloutConfig, now: Timestamp) -> Vec<GateProgress> {
    let fresh = GateProgress {
        next_call: Some(now),
        ..GateProgress::default()
    };
    vec![fresh; config.gates.len()]
}

impl GateProgress {
    /// Returns whether the gate must be called now; it then waits for the answer.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = !self.is_open && self.next_call.is_some_and(|next| next <= now);
        if is_due {
            self.next_call = None;
        }
        is_due
    }

    /// Schedules the next call of a gate that did not open: each delay is twice as long as the
    /// last.
    pub(super) fn schedule_retry(&mut self, now: Timestamp) {
        let factor = 1_u32 << self.n_refusals.min(5);
        self.next_call = Some(now + (FIRST_BACKOFF * factor).min(MAX_BACKOFF));
        self.n_refusals += 1;
    }
}
