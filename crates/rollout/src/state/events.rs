//! What a rollout is told.

use std::time::Duration;

use contract::GateDecision;
use serde::{Deserialize, Serialize};

use super::phase::GuardKind;
use crate::config::Guards;
use crate::evidence::MetricBlock;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The candidate is loaded, and its signature fits that of stable.
    CandidateReady,
    /// It cannot be loaded, or does not fit; why.
    CandidateFailed(String),
    /// Another artefact stands where the candidate was.
    CandidateChanged,
    /// The requests that are not counted are done.
    WarmedUp,
    /// They failed or took too long; why.
    WarmupFailed(String),
    /// The latency from which requests are events, resolved from stable; the first one counts.
    ThresholdFrozen {
        /// The name of the metric.
        metric: String,
        /// The latency.
        threshold: Duration,
    },
    /// A webhook answered.
    GateAnswered {
        /// The place of the gate in the configuration.
        gate: usize,
        /// What it said.
        answer: GateDecision,
    },
    /// A block of counts ended. Send one each second, also when it is empty.
    Tick(Box<Tick>),
}

/// What was counted since the last tick, and how the server is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// Counts of each metric, in the order of the configuration.
    pub metrics: Vec<MetricBlock>,
    /// Requests that the candidate answered.
    pub n_candidate_requests: u64,
    /// Pairs of answers that were compared.
    pub n_pairs: u64,
    /// Units of stable that were assigned for the first time.
    pub n_stable_units: u64,
    /// Units of the candidate that were assigned for the first time.
    pub n_candidate_units: u64,
    /// What the guards look at.
    pub guards: GuardReadings,
    /// Whether stable burns its error budget, or its own change detector fires.
    pub is_stable_unhealthy: bool,
    /// Whether the drift detector of the inputs or outputs fires.
    pub has_drifted: bool,
    /// Whether stable is loaded and could take all of the traffic at once.
    pub is_stable_ready: bool,
}

/// What the guards look at: counts since the last tick, except where it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardReadings {
    /// Outputs with NaN or infinity in them.
    pub nan_output: u64,
    /// The longest run of errors without an answer between them.
    pub consecutive_errors: u64,
    /// Failed attempts to load.
    pub load_failure: u64,
    /// Outputs of another name, type or shape than those of stable.
    pub shape_change: u64,
    /// Resident memory as a multiple of that of stable, now; 0 when it is not measured.
    pub memory_ratio: f64,
}

impl GuardReadings {
    pub(super) fn add(&mut self, more: &Self) {
        self.nan_output += more.nan_output;
        self.consecutive_errors = self.consecutive_errors.max(more.consecutive_errors);
        self.load_failure += more.load_failure;
        self.shape_change += more.shape_change;
        self.memory_ratio = self.memory_ratio.max(more.memory_ratio);
    }

    /// The first guard that has reached its limit.
    pub(super) fn fired(&self, limits: &Guards) -> Option<GuardKind> {
        let counts = [
            (GuardKind::NanOutput, self.nan_output, limits.nan_output),
            (
                GuardKind::ConsecutiveErrors,
                self.consecutive_errors,
                limits.consecutive_errors,
            ),
            (
                GuardKind::LoadFailure,
                self.load_failure,
                limits.load_failure,
            ),
            (
                GuardKind::ShapeChange,
                self.shape_change,
                limits.shape_change,
            ),
        ];
        let mut over = counts
            .iter()
            .filter(|(_, count, limit)| limit.is_some_and(|limit| *count >= limit));
        if let Some((guard, _, _)) = over.next() {
            return Some(*guard);
        }
        let is_large = limits
            .memory_ratio
            .is_some_and(|limit| self.memory_ratio >= limit);
        is_large.then_some(GuardKind::MemoryRatio)
    }
}
