//! How far a rollout is: all that must survive a restart, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::events::{GuardReadings, Tick};
use super::phase::{Phase, Reason, Stage};
use crate::config::RolloutConfig;
use crate::evidence::{Evidence, Soak};
use crate::timestamp::Timestamp;

/// The first wait after a gate did not say "go".
const FIRST_BACKOFF: Duration = Duration::from_secs(10);

/// The longest one.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// How far a rollout is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// When it came there.
    pub since: Timestamp,
    /// Why; nothing before the first move.
    pub last_reason: Option<Reason>,
    /// Grows with every move.
    pub generation: u64,
    /// Grows whenever the evidence begins again.
    pub epoch: u64,
    /// What is known about the candidate.
    pub evidence: Evidence,
    /// Requests to the candidate in this step.
    pub n_candidate_requests: u64,
    /// Pairs of answers that were compared.
    pub n_pairs: u64,
    /// What the guards saw.
    pub guards: GuardReadings,
    /// Latencies from which requests are events, by metric.
    pub latency_thresholds: BTreeMap<String, Duration>,
    /// The watch with all of the traffic.
    pub soak: Option<Soak>,
    /// When the step began.
    pub(super) entered: Timestamp,
    /// Since when the step waits undisturbed for a verdict.
    pub(super) waiting_since: Timestamp,
    pub(super) gates: Vec<GateProgress>,
    #[serde(rename = "owed")]
    pub(super) pending_transition: Option<PendingTransition>,
    pub(super) is_stable_ready: bool,
}

/// How far a gate is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GateProgress {
    pub(super) is_open: bool,
    /// How often it did not say "go".
    n_refusals: u32,
    /// When it is asked next; `None` while an answer is due.
    next_call: Option<Timestamp>,
}

/// A way down that waits for stable.
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

    /// Whether this is progress of such a rollout.
    pub(super) fn fits(&self, config: &RolloutConfig) -> bool {
        let is_step_known = match self.phase.stage() {
            Some(Stage::Step(step)) => step < config.steps.len(),
            Some(Stage::Shadow | Stage::Promoting | Stage::Soak) | None => true,
        };
        is_step_known && self.gates.len() == config.gates.len() && self.evidence.fits(config)
    }

    /// Takes in what was counted.
    pub(super) fn add_tick(&mut self, config: &RolloutConfig, tick: &Tick, now: Timestamp) {
        self.is_stable_ready = tick.is_stable_ready;
        self.guards.add(&tick.guards);
        match (self.phase.stage(), &mut self.soak) {
            // What comes before the first stage, or late from another artefact, is not counted.
            (None, _) => {}
            (Some(Stage::Soak), Some(soak)) => soak.add(&tick.metrics, now),
            (Some(Stage::Shadow | Stage::Step(_) | Stage::Promoting | Stage::Soak), _) => {
                self.n_candidate_requests += tick.n_candidate_requests;
                self.n_pairs += tick.n_pairs;
                self.evidence.add(config, &tick.metrics);
                self.evidence
                    .add_units(tick.n_stable_units, tick.n_candidate_units);
            }
        }
    }

    /// Forgets what was known: another artefact, or a split that was mended.
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
    /// Whether it is to be asked now; it then waits for the answer.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = !self.is_open && self.next_call.is_some_and(|next| next <= now);
        if is_due {
            self.next_call = None;
        }
        is_due
    }

    /// It did not say "go": each wait is twice as long as the last.
    pub(super) fn schedule_retry(&mut self, now: Timestamp) {
        let factor = 1_u32 << self.n_refusals.min(5);
        self.next_call = Some(now + (FIRST_BACKOFF * factor).min(MAX_BACKOFF));
        self.n_refusals += 1;
    }
}
