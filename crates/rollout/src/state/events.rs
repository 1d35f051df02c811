//! Events that drive the state machine of a rollout.

use std::time::Duration;

use api::rollout::{GuardKind, GuardReport};
use contract::GateAnswer;
use serde::{Deserialize, Serialize};

use super::actions::QueryIndex;
use crate::config::Guards;
use crate::evidence::Block;
use crate::prometheus::Reading;

/// An event of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The candidate is loaded, and its signature is compatible with that of stable.
    CandidateReady,
    /// The candidate cannot be loaded or is incompatible, with the reason.
    CandidateFailed(String),
    /// Files of the candidate failed to load; earlier ones may still be served.
    LoadFailed {
        /// The number of failed loads since the last event.
        n: u64,
        /// The error of the last one.
        error: String,
    },
    /// The candidate cannot be loaded because it is not in the repository.
    CandidateMissing,
    /// The artifact of the candidate was replaced.
    CandidateChanged,
    /// The warm-up is done.
    WarmedUp,
    /// The warm-up failed or took too long, with the reason.
    WarmupFailed(String),
    /// The latency from which on requests are events, measured on stable; only the first event of a
    /// metric counts.
    ThresholdFrozen {
        /// The name of the metric.
        metric: String,
        /// The latency.
        threshold: Duration,
    },
    /// A webhook has answered.
    GateAnswered {
        /// The index of the gate in the configuration.
        gate: usize,
        /// The answer.
        answer: GateAnswer,
    },
    /// A query of Prometheus has a result.
    QueryAnswered {
        /// The query.
        query: QueryIndex,
        /// The result.
        reading: Reading,
    },
    /// A block of counts has ended. One is sent each second, also when it is empty.
    Tick(Box<Tick>),
}

/// The counts since the last tick, and the health of the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// Counts by weight.
    pub blocks: Vec<Block>,
    /// Requests that the candidate answered.
    pub n_candidate_requests: u64,
    /// Pairs of answers that were compared.
    pub n_pairs: u64,
    /// The readings of the guards.
    pub guards: GuardReadings,
    /// True when stable is unhealthy: it spends its error budget, or the baseline alarm fires.
    pub is_stable_unhealthy: bool,
    /// True when the drift detector of the inputs or outputs fires.
    pub has_drifted: bool,
    /// The availability of stable; it can take all traffic at once while it is ready.
    pub stable: Availability,
    /// The availability of the candidate.
    pub candidate: Availability,
}

/// Availability of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// It answers requests.
    #[default]
    Ready,
    /// It is in the repository, and does not answer yet.
    Loading,
    /// It is in the repository, and cannot be loaded.
    Failed,
    /// It is not in the repository.
    Missing,
}

/// Readings of the guards: counts since the last tick, unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardReadings {
    /// Outputs that contain NaN or infinity.
    pub nan_output: u64,
    /// The longest run of consecutive errors.
    pub consecutive_errors: u64,
    /// Failed attempts to load.
    pub load_failure: u64,
    /// Outputs whose name, type or shape differs from stable.
    pub shape_change: u64,
    /// Current resident memory as a multiple of that of stable; 0 when it is not measured.
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

    /// Returns the first guard that has reached its limit.
    pub(super) fn fired(&self, limits: &Guards) -> Option<GuardReport> {
        let mut guards = self.reports(limits);
        guards.find(|guard| guard.count >= guard.limit)
    }

    /// Returns the reading of each guard that has a limit.
    pub(super) fn reports(&self, limits: &Guards) -> impl Iterator<Item = GuardReport> {
        use GuardKind::{ConsecutiveErrors, LoadFailure, MemoryRatio, NanOutput, ShapeChange};
        let count = |n: u64| n as f64;
        let guards = [
            (
                NanOutput,
                count(self.nan_output),
                limits.nan_output.map(count),
            ),
            (
                ConsecutiveErrors,
                count(self.consecutive_errors),
                limits.consecutive_errors.map(count),
            ),
            (
                LoadFailure,
                count(self.load_failure),
                limits.load_failure.map(count),
            ),
            (
                ShapeChange,
                count(self.shape_change),
                limits.shape_change.map(count),
            ),
            (MemoryRatio, self.memory_ratio, limits.memory_ratio),
        ];
        guards.into_iter().filter_map(|(name, count, limit)| {
            let limit = limit?;
            Some(GuardReport { name, count, limit })
        })
    }
}
