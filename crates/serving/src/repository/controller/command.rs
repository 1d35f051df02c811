//! What others ask of the keeper.

use contract::{ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::{ChangeRequest, RolloutResult};
use crate::repository::state::RolloutRouting;

/// What the server asks for. The answer goes to `done`.
#[derive(Debug)]
pub(crate) enum Command {
    /// Scan now; answered when what is ready to be loaded has been.
    Rescan {
        /// The answer.
        done: oneshot::Sender<()>,
    },
    /// Load a model; answered when it serves or has failed.
    Load {
        /// The model.
        model: ModelName,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Change what is served; answered when it is kept and in force.
    Change {
        /// The change.
        request: ChangeRequest,
        /// The answer.
        done: oneshot::Sender<Result<Routing>>,
    },
    /// Let a rollout decide about a model; answered when it does.
    SetRolloutSplit {
        /// The model.
        model: ModelName,
        /// What it has decided.
        rollout_routing: Box<RolloutRouting>,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Read the files again and load a version that a rollout needs; answered when it serves.
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
    /// End the steering of a model; answered when it is kept who has won.
    FinishRollout {
        /// How it ended.
        rollout_result: RolloutResult,
        /// The answer.
        done: oneshot::Sender<Result<()>>,
    },
    /// Keep a version loaded no longer only because it was part of a rollout.
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
