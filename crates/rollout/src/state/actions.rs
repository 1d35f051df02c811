//! What the driver of a rollout has to do.
//!
//! Decision: traffic is told as a whole and not as a change, so that doing an action twice, or
//! again after a restart, does no harm. Actions are to be done in the order in which they come:
//! traffic moves before anything is unloaded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::phase::{Phase, Reason};
use crate::evidence::Evidence;
use crate::timestamp::Timestamp;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Load the candidate and compare its signature with that of stable.
    Load,
    /// Run the requests that are not counted.
    WarmUp,
    /// Share the traffic out like this.
    SetTraffic(Traffic),
    /// Post the status to the gate of this place, and tell the answer.
    QueryGate(usize),
    /// Tell somebody.
    Alert(Alert),
    /// Unload a version after a time.
    Release {
        /// Which one.
        arm: Arm,
        /// How long it stays loaded.
        after: Duration,
    },
    /// Store the move.
    Record(Box<Transition>),
}

/// How the traffic is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// The share of the units that the candidate answers, from 0 to 1.
    pub weight: f64,
    /// The share of stable's requests that is copied to the candidate.
    pub shadow: f64,
    /// Grows with every move: an older one must not overwrite a newer one.
    pub generation: u64,
}

/// Something that a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// The candidate should go, but stable is not ready to take the traffic.
    StableNotReady,
}

/// A version of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The one that served before.
    Stable,
    /// The one on trial.
    Candidate,
}

/// One move of a rollout, for the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Where it stood.
    pub from: Phase,
    /// Where it stands.
    pub to: Phase,
    /// Why.
    pub reason: Reason,
    /// Who did it: an operator, or `lockgate`.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The generation after the move.
    pub generation: u64,
    /// What was known.
    pub evidence: Evidence,
}
