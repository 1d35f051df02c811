//! The helm: how a rollout reaches the repository.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{Error, ModelName, Result, Routing, Version};
use tokio::sync::{mpsc, oneshot};

use crate::repository::keeper::{Command, Ending};
use crate::repository::ledger::Steering;
use crate::repository::snapshot::{Served, Snapshot};
use crate::rollout::config::RolloutConfig;

/// Asks the keeper of the repository, and looks into what it has published.
#[derive(Clone, Debug)]
pub(super) struct Helm {
    commands: mpsc::Sender<Command>,
    published: Arc<ArcSwap<Snapshot>>,
}

impl Helm {
    /// A helm of the keeper that listens to `commands`.
    pub(super) fn new(commands: mpsc::Sender<Command>, published: Arc<ArcSwap<Snapshot>>) -> Self {
        Self {
            commands,
            published,
        }
    }

    /// What serves a version now.
    pub(super) fn served(&self, model: &ModelName, version: &Version) -> Option<Arc<Served>> {
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
    pub(super) fn knows(&self, model: &ModelName, version: &Version) -> bool {
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
        Ok(snapshot.table.model(model)?.switch.routing())
    }

    /// Decides about a model; in force when it returns.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout decides about it.
    pub(super) async fn steer(&self, model: &ModelName, steering: Steering) -> Result<()> {
        let (model, steering) = (model.clone(), Box::new(steering));
        self.ask(|done| Command::Steer {
            model,
            steering,
            done,
        })
        .await
    }

    /// Loads a version; returns when it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) async fn provide(
        &self,
        model: ModelName,
        version: Version,
        actor: String,
    ) -> Result<Routing> {
        self.ask(|done| Command::Provide {
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
    pub(super) async fn settle(
        &self,
        config: &RolloutConfig,
        winner: Version,
        warm: Option<(Version, Duration)>,
    ) -> Result<()> {
        let warm = warm.filter(|(_, time)| !time.is_zero());
        let ending = Ending {
            model: config.model.clone(),
            rollout: config.id.clone(),
            winner,
            warm: warm.as_ref().map(|(version, _)| version.clone()),
        };
        self.ask(|done| Command::Settle { ending, done }).await?;
        if let Some((version, time)) = warm {
            let cooling = self.cooling(config.model.clone(), version);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                cooling.await;
            });
        }
        Ok(())
    }

    /// Says that a version is needed no longer.
    fn cooling(
        &self,
        model: ModelName,
        version: Version,
    ) -> impl Future<Output = ()> + Send + use<> {
        let commands = self.commands.downgrade();
        async move {
            if let Some(commands) = commands.upgrade() {
                let command = Command::Cool { model, version };
                commands.send(command).await.unwrap_or_default();
            }
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let gone = || Error::internal("the task that keeps the repository has ended");
        let (done, answer) = oneshot::channel();
        let sent = self.commands.send(command(done)).await;
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
