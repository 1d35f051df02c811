//! The helm: how a rollout reaches the repository.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{Error, ModelName, Result, Routing, Version};
use tokio::sync::{mpsc, oneshot};

use crate::repository::controller::{Command, RolloutResult};
use crate::repository::snapshot::{ServedVersion, Snapshot};
use crate::repository::state::RolloutRouting;
use rollout::config::RolloutConfig;

/// Asks the keeper of the repository, and looks into what it has published.
#[derive(Clone, Debug)]
pub(super) struct TrafficControl {
    commands: mpsc::Sender<Command>,
    published: Arc<ArcSwap<Snapshot>>,
}

impl TrafficControl {
    /// A helm of the keeper that listens to `commands`.
    pub(super) fn new(commands: mpsc::Sender<Command>, published: Arc<ArcSwap<Snapshot>>) -> Self {
        Self {
            commands,
            published,
        }
    }

    /// What serves a version now.
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

    /// Whether a version is there at all, be it on its way to serve or not.
    pub(super) fn has_version(&self, model: &ModelName, version: &Version) -> bool {
        let snapshot = self.published.load();
        let row = snapshot.table.models.get(model);
        row.is_some_and(|row| row.versions.iter().any(|row| row.version == *version))
    }

    /// What decides about a model now.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(super) fn routing(&self, model: &ModelName) -> Result<Routing> {
        let snapshot = self.published.load();
        Ok(snapshot.table.model(model)?.rules.routing())
    }

    /// Decides about a model; in force when it returns.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout decides about it.
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

    /// Loads a version; returns when it serves.
    ///
    /// # Errors
    /// Why it does not.
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

    /// Lets operators decide again. `warm` stays loaded for so long; that does not keep the keeper
    /// at work.
    ///
    /// # Errors
    /// `internal` when it cannot be kept who has won.
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

    /// Says that a version is needed no longer.
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
        let unavailable = || Error::internal("the task that keeps the repository has ended");
        let (done, answer) = oneshot::channel();
        let sent = self.commands.send(command(done)).await;
        sent.map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }
}
