//! The purposes of operations, from which their failures and their success follow.

use crate::status::Success;

/// The purpose of an operation; it decides which failures it may answer with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Tells about the server.
    Server,
    /// Tells about a model.
    Model,
    /// Runs a model.
    Infer,
    /// Changes what is served.
    Change,
    /// Tells about a rollout.
    Rollout,
    /// Tells what only the server knows that decides about a rollout.
    RolloutLeader,
    /// Makes a rollout.
    RolloutStart,
    /// Moves a rollout.
    RolloutAction,
    /// Plays a rollout.
    RolloutSimulation,
    /// Tells what answers were worth.
    Feedback,
}

impl Purpose {
    /// Returns the kind of its success.
    pub(super) fn success(self) -> Success {
        match self {
            Self::Server
            | Self::Model
            | Self::Infer
            | Self::Change
            | Self::Rollout
            | Self::RolloutLeader
            | Self::RolloutAction
            | Self::RolloutSimulation => Success::Done,
            Self::RolloutStart => Success::Created,
            Self::Feedback => Success::Accepted,
        }
    }
}
