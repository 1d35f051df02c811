//! Where a rollout stands, and why it went there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::MetricKind;
use crate::evidence::Window;

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The candidate is being loaded and compared with stable by signature.
    Pending,
    /// The candidate runs requests that are not counted.
    Warmup,
    /// The candidate is being compared, or has all of the traffic.
    Running(Stage),
    /// The weight is frozen, and measuring goes on.
    Held {
        /// Why.
        reason: HoldReason,
        /// Where it goes on.
        stage: Stage,
    },
    /// The candidate is the new stable version.
    Completed,
    /// Back to stable, because the candidate is worse.
    RolledBack,
    /// Back to stable, because somebody said so.
    Aborted,
    /// The candidate never got so far as to be compared.
    Failed,
}

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Weight 0: answers to copies of requests are compared.
    Shadow,
    /// The step of this index.
    Step(usize),
    /// Weight 1 was just given.
    Promoting,
    /// Weight 1, watched.
    Soak,
}

impl Phase {
    /// Whether nothing will happen any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::RolledBack | Self::Aborted | Self::Failed => true,
            Self::Pending | Self::Warmup | Self::Running(_) | Self::Held { .. } => false,
        }
    }

    /// The part of the way, also while held there.
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

    /// Whether it is held for this reason.
    #[must_use]
    pub fn is_held_for(self, required: HoldReason) -> bool {
        matches!(self, Self::Held { reason, .. } if reason == required)
    }

    /// Its name, as it stands in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Warmup => "warmup",
            Self::Running(Stage::Shadow) => "shadow",
            Self::Running(Stage::Step(_)) => "step",
            Self::Running(Stage::Promoting) => "promoting",
            Self::Running(Stage::Soak) => "soak",
            Self::Held { .. } => "held",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

/// Why the weight is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// No verdict in time.
    Unknown,
    /// The arms do not get the units that their weights promise.
    Srm,
    /// Stable itself is in trouble.
    #[serde(alias = "stable_burning")]
    StableUnhealthy,
    /// Somebody is asked.
    Gate,
    /// The outputs or inputs have changed.
    Drift,
    /// The answers of the two versions differ, or too few pairs came.
    Shadow,
    /// Another metric that can only hold.
    Metric,
    /// An operator said so.
    Operator,
}

impl HoldReason {
    /// What a metric that can only hold holds for.
    #[must_use]
    pub fn of_metric(kind: &MetricKind) -> Self {
        match kind {
            MetricKind::OutputBins { .. } => Self::Drift,
            MetricKind::ShadowDiffers { .. } => Self::Shadow,
            MetricKind::Share(_) | MetricKind::Feedback { .. } => Self::Metric,
        }
    }

    /// Its name, as it stands in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Srm => "srm",
            Self::StableUnhealthy => "stable_unhealthy",
            Self::Gate => "gate",
            Self::Drift => "drift",
            Self::Shadow => "shadow",
            Self::Metric => "metric",
            Self::Operator => "operator",
        }
    }
}

/// Why a rollout moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate is loaded and fits.
    Loaded,
    /// The candidate cannot be loaded, or does not fit stable.
    LoadFailed(String),
    /// The requests that are not counted are done.
    WarmedUp,
    /// They failed.
    WarmupFailed(String),
    /// Another artefact stands where the candidate was.
    CandidateChanged,
    /// Enough pairs of answers were compared, and they agree.
    ShadowAgrees,
    /// Every blocking metric passes.
    NotWorse,
    /// The candidate is worse, seen in this window.
    Worse(Window),
    /// A count that ends a rollout at once.
    Guard(GuardKind),
    /// No verdict in time, and the file says what happens then.
    OnUnknown,
    /// The weight 1 is in place.
    AllTraffic,
    /// The watch with all of the traffic ended well.
    Soaked,
    /// A cause to hold came up.
    Held(HoldReason),
    /// It is gone.
    Released(HoldReason),
    /// A gate said "back".
    Gate,
    /// An operator said so, with these words.
    Operator(String),
}

impl Reason {
    /// It as one of a closed list of words, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::LoadFailed(_) => "load_failed",
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
            Self::Gate => "gate",
            Self::Operator(_) => "operator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded => f.write_str("the candidate is loaded"),
            Self::LoadFailed(why) => write!(f, "the candidate cannot be used: {why}"),
            Self::WarmedUp => f.write_str("the candidate is warm"),
            Self::WarmupFailed(why) => write!(f, "the warm-up failed: {why}"),
            Self::CandidateChanged => f.write_str("the files of the candidate changed"),
            Self::ShadowAgrees => f.write_str("its answers to copies of requests are fine"),
            Self::NotWorse => f.write_str("the candidate is not worse"),
            Self::Worse(Window::Start) => f.write_str("worse since the start"),
            Self::Worse(Window::Step) => f.write_str("worse since the last change of weight"),
            Self::Worse(Window::Soak) => f.write_str("worse than stable was"),
            Self::Guard(guard) => write!(f, "guard `{}`", guard.as_str()),
            Self::OnUnknown => f.write_str("no verdict in time"),
            Self::AllTraffic => f.write_str("the candidate has all of the traffic"),
            Self::Soaked => f.write_str("nothing went wrong with all of the traffic"),
            Self::Held(reason) => write!(f, "held: {}", reason.as_str()),
            Self::Released(reason) => write!(f, "no longer held: {}", reason.as_str()),
            Self::Gate => f.write_str("a gate said to roll back"),
            Self::Operator(words) if words.is_empty() => f.write_str("an operator"),
            Self::Operator(words) => write!(f, "an operator: {words}"),
        }
    }
}

/// A count that ends a rollout at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// Outputs with NaN or infinity in them.
    NanOutput,
    /// Errors without an answer between them.
    ConsecutiveErrors,
    /// Failed attempts to load.
    LoadFailure,
    /// Outputs of another name, type or shape.
    ShapeChange,
    /// Memory, as a multiple of that of stable.
    MemoryRatio,
}

impl GuardKind {
    /// Its name in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NanOutput => "nan_output",
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::LoadFailure => "load_failure",
            Self::ShapeChange => "shape_change",
            Self::MemoryRatio => "memory_ratio",
        }
    }
}
