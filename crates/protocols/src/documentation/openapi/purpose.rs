//! The purposes of operations, from which their failures and their success reply follow.

use crate::status::Success;

/// The purpose of an operation; it determines the possible failures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Shows the server.
    Server,
    /// Shows a model.
    Model,
    /// Runs a model.
    Infer,
    /// Changes what is served.
    Change,
    /// Shows a rollout.
    Rollout,
    /// Starts a rollout.
    RolloutStart,
    /// Changes the state of a rollout.
    RolloutAction,
    /// Simulates a rollout.
    RolloutSimulation,
    /// Sends feedback on answers.
    Feedback,
}

impl Purpose {
    /// Returns the kind of success reply.
    pub(super) fn success(self) -> Success {
        match self {
            Self::Server
            | Self::Model
            | Self::Infer
            | Self::Change
            | Self::Rollout
            | Self::RolloutAction
            | Self::RolloutSimulation => Success::Done,
            Self::RolloutStart => Success::Created,
            Self::Feedback => Success::Accepted,
        }
    }
}
