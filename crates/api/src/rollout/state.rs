//! The states of a rollout, and other words of its documents.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

contract::named_enum! {
    /// The state of a rollout.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum RolloutState {
        /// The candidate is being loaded.
        Pending = "pending",
        /// The candidate runs warm-up requests, which are not counted.
        Warmup = "warmup",
        /// Stable is measured before the candidate gets all traffic at once; the weight is 0.
        Baseline = "baseline",
        /// Answers to shadow requests are compared; the weight is 0.
        Shadow = "shadow",
        /// The candidate has the weight of a step.
        Step = "step",
        /// The weight is frozen.
        Held = "held",
        /// The candidate was just given all traffic.
        Promoting = "promoting",
        /// All traffic on the candidate is watched before completion.
        Soak = "soak",
        /// The candidate is the new stable version.
        Completed = "completed",
        /// Stable has all traffic again, because the candidate is worse.
        RolledBack = "rolled_back",
        /// Stable has all traffic again, because an operator aborted.
        Aborted = "aborted",
        /// The candidate could not be loaded or warmed up.
        Failed = "failed",
    }
    /// Returns the word of documents, metrics and logs.
    fn as_str
}

impl RolloutState {
    /// Returns whether the rollout has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::RolledBack | Self::Aborted | Self::Failed => true,
            Self::Pending
            | Self::Warmup
            | Self::Baseline
            | Self::Shadow
            | Self::Step
            | Self::Held
            | Self::Promoting
            | Self::Soak => false,
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The part of a version in a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArmName {
    /// The version that served before.
    Stable,
    /// The version on trial.
    Candidate,
}

impl fmt::Display for ArmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

contract::named_enum! {
    /// A limit that is checked ten times a second.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum GuardKind {
        /// Outputs that contain NaN or infinity.
        NanOutput = "nan_output",
        /// Consecutive errors.
        ConsecutiveErrors = "consecutive_errors",
        /// Failed attempts to load.
        LoadFailure = "load_failure",
        /// Outputs of another name, type or shape.
        ShapeChange = "shape_change",
        /// Memory, as a multiple of that of stable.
        MemoryRatio = "memory_ratio",
    }
    /// Returns the name in files and reports.
    fn as_str
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_and_metrics_have_the_same_words() {
        for state in RolloutState::ALL {
            assert_eq!(json!(state), json!(state.as_str()));
        }
        assert_eq!(
            json!(GuardKind::NanOutput),
            json!(GuardKind::NanOutput.as_str())
        );
        assert_eq!(format!("{:<9}|", ArmName::Stable), "stable   |");
    }
}
