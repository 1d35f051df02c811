//! Handle through which a rollout loads versions and sets traffic weights.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{Error, ModelName, Result, Routing, Version};
use rollout::config::RolloutConfig;
use tokio::sync::{mpsc, oneshot};

use crate::control::controller::{Command, RolloutResult};
use crate::control::snapshot::{ServedVersion, Snapshot};
use crate::control::state::RolloutRouting;
use crate::route::ActiveSplit;

/// Sends commands to the repository controller and reads its published snapshot.
#[derive(Clone, Debug)]
pub(super) struct TrafficControl {
    commands: mpsc::Sender<Command>,
    published: Arc<ArcSwap<Snapshot>>,
}

impl TrafficControl {
    /// Creates a handle of the controller that receives `commands`.
    pub(super) fn new(commands: mpsc::Sender<Command>, published: Arc<ArcSwap<Snapshot>>) -> Self {
        Self {
            commands,
            published,
        }
    }

    /// Returns the served version, when it is ready.
    pub(super) fn served(
        &self,
        model: &ModelName,
        version: &Version,
    ) -> Option<Arc<ServedVersion>> {
        let snapshot = self.published.load();
        let row = snapshot
            .table
            .models
            .get(model)?
            .version(version.as_str())?;
        // A label may have the name of the version.
        row.handle.clone().filter(|_| row.version == *version)
    }

    /// Returns whether the model has a version, ready or not.
    pub(super) fn has_version(&self, model: &ModelName, version: &Version) -> bool {
        let snapshot = self.published.load();
        let row = snapshot.table.models.get(model);
        row.is_some_and(|row| row.versions.iter().any(|row| row.version == *version))
    }

    /// Returns the current routing of a model.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(super) fn routing(&self, model: &ModelName) -> Result<Routing> {
        let snapshot = self.published.load();
        Ok(snapshot.table.model(model)?.rules.routing())
    }

    /// Sets the routing of a model; it is applied on return.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout controls the model.
    pub(super) async fn set_split(
        &self,
        model: &ModelName,
        rollout_routing: RolloutRouting,
    ) -> Result<()> {
        let (model, rollout_routing) = (model.clone(), Box::new(rollout_routing));
        self.request(|done| Command::SetRolloutSplit {
            model,
            rollout_routing,
            done,
        })
        .await
    }

    /// Loads a version; returns when it is ready.
    ///
    /// # Errors
    /// The error of the load.
    pub(super) async fn ensure_loaded(
        &self,
        model: ModelName,
        version: Version,
        actor: String,
    ) -> Result<Routing> {
        self.request(|done| Command::EnsureLoaded {
            model,
            version,
            actor,
            done,
        })
        .await
    }

    /// Returns control of the model to operators. `warm` stays loaded for this time, which does
    /// not keep the controller running.
    ///
    /// # Errors
    /// `internal` when the result cannot be persisted.
    pub(super) async fn finish(
        &self,
        config: &RolloutConfig,
        winner: Version,
        warm: Option<(Version, Duration)>,
    ) -> Result<()> {
        let warm = warm.filter(|(_, time)| !time.is_zero());
        let rollout_result = RolloutResult {
            model: config.model.clone(),
            rollout: config.id.clone(),
            winner,
            warm: warm.as_ref().map(|(version, _)| version.clone()),
        };
        self.request(|done| Command::FinishRollout {
            rollout_result,
            done,
        })
        .await?;
        if let Some((version, time)) = warm {
            let release = self.release(config.model.clone(), version);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                release.await;
            });
        }
        Ok(())
    }

    /// Releases a version that was kept loaded.
    fn release(
        &self,
        model: ModelName,
        version: Version,
    ) -> impl Future<Output = ()> + Send + use<> {
        let commands = self.commands.downgrade();
        async move {
            if let Some(commands) = commands.upgrade() {
                let command = Command::ReleaseWarm { model, version };
                commands.send(command).await.unwrap_or_default();
            }
        }
    }

    async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let unavailable = || Error::internal("the repository controller has stopped");
        let (done, answer) = oneshot::channel();
        let sent = self.commands.send(command(done)).await;
        sent.map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }
}

/// Returns the routing of a rollout with this split, without a mirror.
pub(super) fn rollout_routing(config: &RolloutConfig, split: &Arc<ActiveSplit>) -> RolloutRouting {
    RolloutRouting {
        rollout: config.id.clone(),
        stable: config.stable.clone(),
        candidate: config.candidate.clone(),
        split: Arc::clone(split),
        mirror: None,
    }
}
