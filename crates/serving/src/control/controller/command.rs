//! Commands to the controller.

use contract::{ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::{ChangeRequest, RolloutResult};
use crate::control::state::RolloutRouting;

/// A command to the controller. The answer is sent to `done`.
#[derive(Debug)]
pub(crate) enum Command {
    /// Scan now; answered when every loadable version is loaded.
    Rescan {
        /// The answer.
        done: oneshot::Sender<()>,
    },
    /// Scan now; answered when the versions that were found are published.
    Scan {
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Load a model; answered when it is ready or has failed.
    Load {
        /// The model.
        model: ModelName,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Apply a change by an operator; answered when it is persisted and applied.
    Change {
        /// The change.
        request: ChangeRequest,
        /// The answer.
        done: oneshot::Sender<Result<Routing>>,
    },
    /// Apply the routing of a rollout to a model; answered when it is applied.
    SetRolloutSplit {
        /// The model.
        model: ModelName,
        /// The routing.
        rollout_routing: Box<RolloutRouting>,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Scan and load a version that a rollout needs; answered when it is ready.
    EnsureLoaded {
        /// The model.
        model: ModelName,
        /// The version.
        version: Version,
        /// The rollout.
        actor: String,
        /// The answer.
        done: oneshot::Sender<Result<Routing>>,
    },
    /// End the control of a rollout over a model; answered when the result is persisted.
    FinishRollout {
        /// The result of the rollout.
        rollout_result: RolloutResult,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Stop keeping a version loaded only because it was part of a rollout.
    ReleaseWarm {
        /// The model.
        model: ModelName,
        /// The version.
        version: Version,
    },
    /// Unload a model; answered at once.
    Unload {
        /// The model.
        model: ModelName,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
}
