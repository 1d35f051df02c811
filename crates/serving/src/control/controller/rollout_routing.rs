//! Commands of rollouts.

use std::time::Duration;

use contract::{ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::change::VersionLoad;
use super::{NEVER, RepositoryController, reply};
use crate::control::state::RolloutRouting;

/// The result of a rollout.
#[derive(Clone, Debug)]
pub(crate) struct RolloutResult {
    /// The model.
    pub(crate) model: ModelName,
    /// The rollout, for the history.
    pub(crate) rollout: String,
    /// The version that answers from now on.
    pub(crate) winner: Version,
    /// The version that stays loaded for a while.
    pub(crate) warm: Option<Version>,
}

impl RepositoryController {
    /// Applies the routing of a rollout; published on return.
    pub(super) fn set_rollout_routing(
        &mut self,
        model: &ModelName,
        rollout_routing: RolloutRouting,
    ) -> Result<()> {
        self.state.set_rollout_routing(model, rollout_routing)?;
        self.plan(model, NEVER, false);
        self.publish();
        Ok(())
    }

    /// Loads a version that a rollout needs, as soon as its files can be read.
    pub(super) async fn ensure_loaded(
        &mut self,
        model: ModelName,
        version: Version,
        actor: String,
        done: oneshot::Sender<Result<Routing>>,
    ) {
        if let Err(error) = self.scan(None).await {
            return reply(done, Err(error));
        }
        self.state.clear_failure(&model, &version);
        self.plan(&model, Duration::ZERO, false);
        self.version_loads
            .push(VersionLoad::new(model, version, actor, done));
    }

    /// Persists the result of a rollout, and returns control to operators.
    pub(super) async fn finish_rollout(&mut self, rollout_result: &RolloutResult) -> Result<()> {
        let RolloutResult {
            model,
            rollout,
            winner,
            warm,
        } = rollout_result;
        let desired = self.state.desired_after_rollout(model, winner)?;
        let what = format!("version {winner} answers after the rollout {rollout}");
        let entry = self.entry(model, rollout, what, Some(winner));
        self.persistence.persist(model, &desired, &entry).await?;
        self.state.set_desired(model, desired);
        self.state.end_rollout(model, warm.clone());
        self.plan(model, NEVER, false);
        self.publish();
        self.defaults = self.state.defaults();
        Ok(())
    }
}
