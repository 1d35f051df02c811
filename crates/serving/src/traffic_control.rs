//! Access of rollouts to the repository: versions through the controller, traffic through splits.
//!
//! Decision: a rollout acts through the commands of the repository controller like an operator, and
//! reads the published snapshot like a request, so that it needs no lock of its own.

mod budget;
mod shadow_comparison;
mod shadow_runner;
mod traffic;
mod warmup;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{BoxFuture, Error, ModelName, Result, Routing, Version, VersionState};
use rollout::config::RolloutConfig;
use rollout::driver::{Clock, FailedLoads, ReadyVersion, Restored, RolloutTraffic, TrafficControl};
use rollout::state::Availability;
use rollout::timestamp::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::control::controller::{Command, RolloutResult};
use crate::control::snapshot::{ServedVersion, Snapshot};
use crate::control::state::RolloutRouting;
use crate::route::ActiveSplit;

use traffic::SplitTraffic;

/// Handle that sends commands to the repository controller and reads its published snapshot.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryHandle {
    /// Sender of commands to the controller.
    pub(crate) commands: mpsc::Sender<Command>,
    /// The snapshot that the controller publishes.
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
}

impl RepositoryHandle {
    /// Returns the served version, when it is ready.
    fn served(&self, model: &ModelName, version: &Version) -> Option<Arc<ServedVersion>> {
        let snapshot = self.published.load();
        let row = snapshot
            .table
            .models
            .get(model)?
            .version(version.as_str())?;
        // A label may have the name of the version.
        row.handle.clone().filter(|_| row.version == *version)
    }

    async fn ensure_loaded(
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

/// Traffic control over the repository of this server.
#[derive(Debug)]
pub(crate) struct RepositoryTrafficControl {
    repository: RepositoryHandle,
    /// Routing of the restored rollouts by id, until it is taken; the first snapshot has it too, so
    /// that no request is counted elsewhere.
    restored: Mutex<BTreeMap<String, RolloutRouting>>,
}

impl RepositoryTrafficControl {
    /// Creates the traffic control of a server that starts with these rollouts.
    pub(crate) fn new(
        repository: RepositoryHandle,
        restored: &[(ModelName, RolloutRouting)],
    ) -> Self {
        let restored = restored.iter();
        let restored = restored.map(|(_, routing)| (routing.rollout.clone(), routing.clone()));
        Self {
            repository,
            restored: Mutex::new(restored.collect()),
        }
    }
}

/// Returns the routing of all restored rollouts, for the first snapshot: a restart must not move
/// traffic.
///
/// # Errors
/// `invalid_request` when a weight gives no valid split.
pub(crate) fn routings_of(restored: &Restored) -> Result<Vec<(ModelName, RolloutRouting)>> {
    let now = Clock::start().now();
    let restored = restored.weights().map(|(config, weight)| {
        let routing = rollout_routing(config, weight, now)?;
        Ok((config.model.clone(), routing))
    });
    restored.collect()
}

/// Returns the routing of a rollout with this weight of the candidate, without a mirror.
fn rollout_routing(config: &RolloutConfig, weight: f64, now: Timestamp) -> Result<RolloutRouting> {
    let assignment_epoch = config.assignment_epoch(now);
    Ok(RolloutRouting {
        rollout: config.id.clone(),
        stable: config.stable.clone(),
        candidate: config.candidate.clone(),
        split: Arc::new(ActiveSplit::of_rollout(
            config.split(weight, assignment_epoch),
        )?),
        assignment_epoch,
        mirror: None,
    })
}

impl TrafficControl for RepositoryTrafficControl {
    fn ready_version(&self, model: &ModelName, version: &Version) -> Option<ReadyVersion> {
        let served = self.repository.served(model, version)?;
        Some(ReadyVersion {
            info: Arc::clone(served.loaded_version.info()),
            memory_bytes: served.memory_bytes,
        })
    }

    fn availability(&self, model: &ModelName, version: &Version) -> Availability {
        let snapshot = self.repository.published.load();
        let rows = snapshot.table.models.get(model).map(|row| &row.versions);
        let mut rows = rows.into_iter().flatten();
        let row = rows.find(|row| row.version == *version);
        match row.map(|row| (row.state, &row.handle)) {
            Some((_, Some(_))) => Availability::Ready,
            Some((VersionState::Ready | VersionState::Loading, None)) => Availability::Loading,
            Some((VersionState::Unavailable, None)) => Availability::Failed,
            Some((VersionState::Unloading, None)) | None => Availability::Missing,
        }
    }

    fn failed_loads(&self, model: &ModelName, version: &Version) -> Option<FailedLoads> {
        let snapshot = self.repository.published.load();
        let rows = &snapshot.table.models.get(model)?.versions;
        let row = rows.iter().find(|row| row.version == *version)?;
        let (n, last) = row.failed_loads.clone()?;
        Some(FailedLoads { n, last })
    }

    fn versions(&self, model: &ModelName) -> Vec<Version> {
        let snapshot = self.repository.published.load();
        let rows = snapshot.table.models.get(model).map(|row| &row.versions);
        let there = rows
            .into_iter()
            .flatten()
            .filter(|row| row.state != VersionState::Unloading);
        there.map(|row| row.version.clone()).collect()
    }

    fn rescan(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.repository.request(|done| Command::Scan { done }))
    }

    fn routing(&self, model: &ModelName) -> Result<Routing> {
        let snapshot = self.repository.published.load();
        Ok(snapshot.table.model(model)?.rules.routing())
    }

    fn default_version(&self, model: &ModelName) -> Option<Version> {
        let snapshot = self.repository.published.load();
        let served = snapshot.table.models.get(model)?.latest()?;
        Some(served.loaded_version.info().version.clone())
    }

    fn traffic(
        &self,
        config: &RolloutConfig,
        weight: f64,
        now: Timestamp,
    ) -> Result<Box<dyn RolloutTraffic>> {
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        let routing = match restored.remove(&config.id) {
            Some(restored) => restored,
            None => rollout_routing(config, weight, now)?,
        };
        let repository = self.repository.clone();
        Ok(Box::new(SplitTraffic::new(
            repository,
            config.clone(),
            routing,
        )))
    }

    fn ensure_loaded(
        &self,
        config: &RolloutConfig,
        version: &Version,
    ) -> BoxFuture<'static, Result<()>> {
        let repository = self.repository.clone();
        let (model, version, actor) = (config.model.clone(), version.clone(), config.id.clone());
        Box::pin(async move {
            let loaded = repository.ensure_loaded(model, version, actor).await;
            loaded.map(drop)
        })
    }

    fn finish<'a>(
        &'a self,
        config: &'a RolloutConfig,
        winner: Version,
        warm: Option<(Version, Duration)>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let warm = warm.filter(|(_, time)| !time.is_zero());
            let rollout_result = RolloutResult {
                model: config.model.clone(),
                rollout: config.id.clone(),
                winner,
                warm: warm.as_ref().map(|(version, _)| version.clone()),
            };
            let finished = self.repository.request(|done| Command::FinishRollout {
                rollout_result,
                done,
            });
            finished.await?;
            if let Some((version, time)) = warm {
                let commands = self.repository.commands.downgrade();
                tokio::spawn(release_later(commands, config.model.clone(), version, time));
            }
            Ok(())
        })
    }
}

/// Releases a version that was kept loaded, after this time. Does not keep the controller running.
async fn release_later(
    commands: mpsc::WeakSender<Command>,
    model: ModelName,
    version: Version,
    time: Duration,
) {
    tokio::time::sleep(time).await;
    if let Some(commands) = commands.upgrade() {
        let command = Command::ReleaseWarm { model, version };
        commands.send(command).await.unwrap_or_default();
    }
}
