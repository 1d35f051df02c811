//! Phases of a rollout, and the reasons for which it is held.

use api::rollout::RolloutState;
use serde::{Deserialize, Serialize};

use crate::config::MetricKind;

/// The phase of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The candidate is being loaded, and its signature compared with that of stable.
    Pending,
    /// The candidate runs warm-up requests, which are not counted.
    Warmup,
    /// The candidate is being compared, or has all traffic.
    Running(Stage),
    /// The weight is frozen, and measuring goes on.
    Held {
        /// The reason.
        reason: HoldReason,
        /// The stage that continues after the hold.
        stage: Stage,
    },
    /// The candidate is the new stable version.
    Completed,
    /// Stable has all traffic again, because the candidate is worse.
    RolledBack,
    /// Stable has all traffic again, because an operator aborted.
    Aborted,
    /// The candidate could not be loaded or warmed up.
    Failed,
}

/// A stage of a running rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Weight 0: stable is measured, with which the soak will compare the candidate.
    Baseline,
    /// Weight 0: answers to shadow requests are compared.
    Shadow,
    /// The step of this index.
    Step(usize),
    /// Weight 1 was just set.
    Promoting,
    /// Weight 1 is watched before completion.
    Soak,
}

impl Phase {
    /// Returns whether the phase is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.state().is_final()
    }

    /// Returns the stage, also while held in it.
    #[must_use]
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Running(stage) | Self::Held { stage, .. } => Some(stage),
            Self::Pending
            | Self::Warmup
            | Self::Completed
            | Self::RolledBack
            | Self::Aborted
            | Self::Failed => None,
        }
    }

    /// Returns the index of the step, also while held in it.
    #[must_use]
    pub fn step(self) -> Option<usize> {
        match self.stage() {
            Some(Stage::Step(step)) => Some(step),
            Some(Stage::Baseline | Stage::Shadow | Stage::Promoting | Stage::Soak) | None => None,
        }
    }

    /// Returns whether the rollout is held for this reason.
    #[must_use]
    pub fn is_held_for(self, required: HoldReason) -> bool {
        matches!(self, Self::Held { reason, .. } if reason == required)
    }

    /// Returns the state in reports.
    #[must_use]
    pub fn state(self) -> RolloutState {
        match self {
            Self::Pending => RolloutState::Pending,
            Self::Warmup => RolloutState::Warmup,
            Self::Running(Stage::Baseline) => RolloutState::Baseline,
            Self::Running(Stage::Shadow) => RolloutState::Shadow,
            Self::Running(Stage::Step(_)) => RolloutState::Step,
            Self::Running(Stage::Promoting) => RolloutState::Promoting,
            Self::Running(Stage::Soak) => RolloutState::Soak,
            Self::Held { .. } => RolloutState::Held,
            Self::Completed => RolloutState::Completed,
            Self::RolledBack => RolloutState::RolledBack,
            Self::Aborted => RolloutState::Aborted,
            Self::Failed => RolloutState::Failed,
        }
    }
}

contract::named_enum! {
    /// The reason why the weight is frozen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum HoldReason {
        /// No verdict within `max_time`.
        Unknown = "unknown",
        /// Sample-ratio mismatch: the arms do not get the units that their weights promise.
        Srm = "srm",
        /// The stable version itself is unhealthy.
        #[serde(alias = "stable_burning")]
        StableUnhealthy = "stable_unhealthy",
        /// A gate is closed.
        Gate = "gate",
        /// The distribution of outputs or inputs has changed.
        Drift = "drift",
        /// The answers of the two versions differ, or too few pairs were compared.
        Shadow = "shadow",
        /// Prometheus refuses the query of a guard, so that nothing guards.
        GuardQuery = "guard_query",
        /// Another metric that can only hold.
        Metric = "metric",
        /// Stable is gone, so the candidate answers its requests. A record of an earlier version that
        /// waits for its candidate is decided at once: it goes on, or back to stable.
        #[serde(alias = "candidate_missing")]
        StableMissing = "stable_missing",
        /// An operator held the rollout.
        Operator = "operator",
    }
    /// Returns the name in reports.
    fn as_str
}

impl HoldReason {
    /// Returns the reason for which a metric of this kind holds.
    #[must_use]
    pub fn of_metric(kind: &MetricKind) -> Self {
        match kind {
            MetricKind::OutputBins { .. } => Self::Drift,
            MetricKind::ShadowDiffers { .. } => Self::Shadow,
            MetricKind::Share(_) | MetricKind::Feedback { .. } => Self::Metric,
        }
    }
}
