//! Actions that the state machine returns to the rollout task.
//!
//! Decision: traffic is set as a whole and not as a difference, so that taking an action twice, or
//! again after a restart, does no harm. Actions are taken in the order in which they come: traffic
//! moves before anything is unloaded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::phase::Phase;
use super::reason::Reason;
use crate::evidence::Evidence;
use crate::timestamp::Timestamp;

/// An action for the rollout task.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Load the candidate and compare its signature with that of stable.
    Load,
    /// Run the warm-up requests.
    WarmUp,
    /// Set the weight and the shadow share.
    SetTraffic(Traffic),
    /// Post the status to the gate of this index, and send its answer as an event.
    QueryGate(usize),
    /// Make a query of Prometheus, and send its result as an event.
    Query(QueryIndex),
    /// Alert the operator.
    Alert(Alert),
    /// Unload a version after a time.
    Release {
        /// The version.
        arm: Arm,
        /// The time for which it stays loaded.
        after: Duration,
    },
    /// Persist the transition.
    Record(Box<Transition>),
}

/// A query of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryIndex {
    /// The query of the gate of this index.
    Gate(usize),
    /// The query of the guard of this index.
    Guard(usize),
}

/// The distribution of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// The traffic weight of the candidate, from 0 to 1.
    pub weight: f64,
    /// The share of stable's requests that is mirrored to the candidate.
    pub shadow: f64,
    /// The generation of the rollout: an older one must not overwrite a newer one.
    pub generation: u64,
}

/// A condition that needs an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// The candidate must be rolled back, but stable is not ready to take the traffic.
    StableNotReady,
    /// Stable is gone, so the candidate answers its requests, and the rollout is held.
    StableMissing,
}

/// An arm of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The version that served before.
    Stable,
    /// The version on trial.
    Candidate,
}

/// One transition of a rollout, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// The phase before.
    pub from: Phase,
    /// The phase after.
    pub to: Phase,
    /// The reason.
    pub reason: Reason,
    /// The actor: an operator, or `lockgate`.
    pub actor: String,
    /// The time.
    pub at: Timestamp,
    /// The generation after the transition.
    pub generation: u64,
    /// The evidence at that time.
    pub evidence: Evidence,
}
