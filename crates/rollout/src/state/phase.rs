//! Phases of a rollout, and the reasons of its transitions.

use std::fmt;

use api::rollout::{GuardKind, RolloutState};
use serde::{Deserialize, Serialize};

use crate::config::MetricKind;
use crate::evidence::Window;

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

/// The reason of a transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate is loaded and compatible.
    Loaded,
    /// The candidate cannot be loaded, or is incompatible with stable.
    LoadFailed(String),
    /// The candidate is not in the repository.
    CandidateMissing,
    /// The warm-up is done.
    WarmedUp,
    /// The warm-up failed.
    WarmupFailed(String),
    /// The artifact of the candidate was replaced.
    CandidateChanged,
    /// Enough pairs of answers were compared, and they agree.
    ShadowAgrees,
    /// Every blocking metric passes.
    NotWorse,
    /// The candidate is worse, seen in this window.
    Worse(Window),
    /// A guard.
    Guard(GuardKind),
    /// No verdict within `max_time`, so `on_unknown` decides.
    OnUnknown,
    /// The candidate has all traffic.
    AllTraffic,
    /// The soak ended well.
    Soaked,
    /// A hold began.
    Held(HoldReason),
    /// A hold ended.
    Released(HoldReason),
    /// A gate answered that the rollout must be rolled back, in a record of an earlier version.
    Gate,
    /// A gate answered that the rollout must be rolled back.
    GateAnswer {
        /// The gate.
        gate: String,
        /// Its answer in words.
        answer: String,
    },
    /// An operator acted, with this reason.
    Operator(String),
}

impl Reason {
    /// Returns the reason as one of a closed list of words, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::LoadFailed(_) => "load_failed",
            Self::CandidateMissing => "candidate_missing",
            Self::WarmedUp => "warmed_up",
            Self::WarmupFailed(_) => "warmup_failed",
            Self::CandidateChanged => "candidate_changed",
            Self::ShadowAgrees => "shadow_agrees",
            Self::NotWorse => "not_worse",
            Self::Worse(_) => "worse",
            Self::Guard(guard) => guard.as_str(),
            Self::OnUnknown => "on_unknown",
            Self::AllTraffic => "all_traffic",
            Self::Soaked => "soaked",
            Self::Held(reason) | Self::Released(reason) => reason.as_str(),
            Self::Gate | Self::GateAnswer { .. } => "gate",
            Self::Operator(_) => "operator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded => f.write_str("the candidate is loaded"),
            Self::LoadFailed(why) => write!(f, "the candidate cannot be used: {why}"),
            Self::CandidateMissing => f.write_str("the files of the candidate are missing"),
            Self::WarmedUp => f.write_str("the warm-up succeeded"),
            Self::WarmupFailed(why) => write!(f, "the warm-up failed: {why}"),
            Self::CandidateChanged => f.write_str("the files of the candidate changed"),
            Self::ShadowAgrees => f.write_str("the shadow requests agree"),
            Self::NotWorse => f.write_str("the candidate is not worse"),
            Self::Worse(Window::Start) => f.write_str("worse since the start"),
            Self::Worse(Window::Step) => f.write_str("worse since the last change of weight"),
            Self::Worse(Window::Soak) => f.write_str("worse than stable was before the promotion"),
            Self::Guard(guard) => write!(f, "guard `{}`", guard.as_str()),
            Self::OnUnknown => f.write_str("no verdict in time"),
            Self::AllTraffic => f.write_str("the candidate has all traffic"),
            Self::Soaked => f.write_str("the soak found nothing worse"),
            Self::Held(reason) => write!(f, "held: {}", reason.as_str()),
            Self::Released(reason) => write!(f, "no longer held: {}", reason.as_str()),
            Self::Gate => f.write_str("a gate asked for a rollback"),
            Self::GateAnswer { gate, answer } => {
                write!(f, "gate `{gate}` asked for a rollback: {answer}")
            }
            Self::Operator(words) if words.is_empty() => f.write_str("an operator"),
            Self::Operator(words) => write!(f, "an operator: {words}"),
        }
    }
}
