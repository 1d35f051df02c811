//! The states of a rollout, and other words of its documents.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// The candidate is being loaded.
    Pending,
    /// The candidate runs warm-up requests, which are not counted.
    Warmup,
    /// Answers to shadow requests are compared; the weight is 0.
    Shadow,
    /// The candidate has the weight of a step.
    Step,
    /// The weight is frozen.
    Held,
    /// The candidate was just given all traffic.
    Promoting,
    /// All traffic on the candidate is watched before completion.
    Soak,
    /// The candidate is the new stable version.
    Completed,
    /// Stable has all traffic again, because the candidate is worse.
    RolledBack,
    /// Stable has all traffic again, because an operator aborted.
    Aborted,
    /// The candidate could not be loaded or warmed up.
    Failed,
}

impl RolloutState {
    /// Every state, the final ones last.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Warmup,
        Self::Shadow,
        Self::Step,
        Self::Held,
        Self::Promoting,
        Self::Soak,
        Self::Completed,
        Self::RolledBack,
        Self::Aborted,
        Self::Failed,
    ];

    /// Returns whether the rollout has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::RolledBack | Self::Aborted | Self::Failed => true,
            Self::Pending
            | Self::Warmup
            | Self::Shadow
            | Self::Step
            | Self::Held
            | Self::Promoting
            | Self::Soak => false,
        }
    }

    /// Returns the word of documents, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Warmup => "warmup",
            Self::Shadow => "shadow",
            Self::Step => "step",
            Self::Held => "held",
            Self::Promoting => "promoting",
            Self::Soak => "soak",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
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

/// A limit that is checked ten times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// Outputs that contain NaN or infinity.
    NanOutput,
    /// Consecutive errors.
    ConsecutiveErrors,
    /// Failed attempts to load.
    LoadFailure,
    /// Outputs of another name, type or shape.
    ShapeChange,
    /// Memory, as a multiple of that of stable.
    MemoryRatio,
}

impl GuardKind {
    /// Returns the name in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NanOutput => "nan_output",
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::LoadFailure => "load_failure",
            Self::ShapeChange => "shape_change",
            Self::MemoryRatio => "memory_ratio",
        }
    }
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
