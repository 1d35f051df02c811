//! The registry of all rollouts of the server by id.
//!
//! Decision: readers use a map that is swapped as a whole, and two starts never run at once. An id
//! is used by one rollout at a time; each run has its number, which is a part of the salt of its
//! assignment and of the key of its transitions.

mod active;
mod addresses;
mod follow;
mod restored;
mod start;
mod start_notifications;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::rollout::{AssignedArm, Assignment, LeaderRollout};
use arc_swap::ArcSwap;
use contract::{Code, Error, ModelName, OperatorAction, RawJson, Result, RolloutWatch};
use tokio::sync::{Mutex, oneshot};

use super::Dependencies;
use super::documents::{array, document};
use super::epoch_units::EpochUnits;
use super::notification_sender::NotificationSender;
use super::record::Record;
use super::snapshot::{RolloutHandle, RolloutSnapshot, TaskChannels};
use super::task::{Clock, InitialState, RolloutTask};
use super::traffic_control::RolloutTraffic;
use crate::config::RolloutConfig;
use crate::state::{Action, Rollout};

pub use active::ActiveRollout;
pub use restored::Restored;

use follow::Follower;

/// All rollouts of the server.
#[derive(Debug)]
pub struct Registry {
    dependencies: Arc<Dependencies>,
    handles: ArcSwap<BTreeMap<String, Arc<RolloutHandle>>>,
    starting: Mutex<()>,
    sender: Arc<NotificationSender>,
    /// State of a follower; `None` when this server decides itself.
    follower: Option<Follower>,
}

impl Registry {
    /// Creates a registry that resumes the restored rollouts.
    ///
    /// # Errors
    /// `internal` when a document of a stored rollout cannot be built.
    pub fn new(
        dependencies: Dependencies,
        restored: Restored,
        leader: Option<String>,
    ) -> Result<Self> {
        let mut registry = Self {
            sender: NotificationSender::new(&dependencies),
            dependencies: Arc::new(dependencies),
            handles: ArcSwap::default(),
            starting: Mutex::default(),
            follower: leader.map(Follower::new),
        };
        for (rollout, record) in restored.ended {
            let traffic = registry.traffic(&rollout)?;
            registry.register(&rollout, &record, &*traffic)?;
        }
        for (id, model, notifications) in restored.notifications {
            registry.sender.send((&id, &model), notifications.pending);
        }
        for (config, weight, leader_rollout) in restored.followed {
            registry.resume_following(config, weight, leader_rollout)?;
        }
        for (rollout, record, actions) in restored.running {
            let traffic = registry.traffic(&rollout)?;
            let counted_units = registry.dependencies.records.units(&rollout.config().id)?;
            registry.run(rollout, record, counted_units, actions, traffic)?;
        }
        Ok(registry)
    }

    fn resume_following(
        &mut self,
        config: RolloutConfig,
        weight: f64,
        leader_rollout: LeaderRollout,
    ) -> Result<()> {
        let id = config.id.clone();
        let mut followed_rollout = self
            .followed_rollout(config, weight, leader_rollout)?
            .resumed();
        match &mut self.follower {
            Some(follower) => follower.resume(&id, followed_rollout),
            None => drop(tokio::spawn(async move {
                if let Err(error) = followed_rollout.abandon().await {
                    let diagnostic = error.diagnostic();
                    tracing::error!(rollout = id, %error, diagnostic, "failed to finish rollout");
                }
            })),
        }
        Ok(())
    }

    fn register(
        &self,
        rollout: &Rollout,
        record: &Record,
        traffic: &dyn RolloutTraffic,
    ) -> Result<(Arc<RolloutHandle>, TaskChannels)> {
        let config = rollout.config();
        let snapshot = RolloutSnapshot::new(rollout, None)?;
        let assigner = traffic.assigner().clone();
        let (handle, channels) = RolloutHandle::new(config, &record.file, snapshot, assigner);
        *handle.published.replicas() = record.replicas.clone();
        self.insert(&config.id, &handle);
        Ok((handle, channels))
    }

    /// Creates the traffic of a rollout at its current weight.
    fn traffic(&self, rollout: &Rollout) -> Result<Box<dyn RolloutTraffic>> {
        let traffic_control = &self.dependencies.traffic_control;
        let weight = rollout.traffic().weight;
        traffic_control.traffic(rollout.config(), weight, Clock::start().now())
    }

    fn insert(&self, id: &str, handle: &Arc<RolloutHandle>) {
        self.handles.rcu(|handles| {
            let mut handles = BTreeMap::clone(handles);
            handles.insert(id.to_owned(), Arc::clone(handle));
            handles
        });
    }

    /// Registers a rollout and spawns its task; returns its status before the task runs.
    fn run(
        &self,
        rollout: Rollout,
        record: Record,
        counted_units: EpochUnits,
        actions: Vec<Action>,
        traffic: Box<dyn RolloutTraffic>,
    ) -> Result<RawJson> {
        let (handle, channels) = self.register(&rollout, &record, &*traffic)?;
        let status = handle.snapshot().status.clone();
        let start = InitialState {
            rollout,
            record,
            counted_units,
            traffic,
            published: Arc::clone(&handle.published),
            channels,
            sender: Arc::clone(&self.sender),
        };
        let (task, inbox) = RolloutTask::new(Arc::clone(&self.dependencies), start);
        tokio::spawn(task.run(inbox, actions));
        Ok(status)
    }

    fn handle(&self, id: &str) -> Result<Arc<RolloutHandle>> {
        let handles = self.handles.load();
        handles.get(id).cloned().ok_or_else(|| {
            let message = format!("there is no rollout `{}`", id.escape_debug());
            Error::new(Code::RolloutNotFound, message)
        })
    }

    /// Returns the status of every rollout, the running ones first.
    pub fn list(&self) -> RawJson {
        let handles = self.handles.load();
        let snapshots = handles.values().map(|handle| handle.snapshot());
        let (ended, running): (Vec<_>, Vec<_>) =
            snapshots.partition(|snapshot| snapshot.is_final());
        array(
            running
                .iter()
                .chain(&ended)
                .map(|snapshot| snapshot.status.as_str()),
        )
    }

    /// Returns the status of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn status(&self, id: &str) -> Result<RawJson> {
        Ok(self.handle(id)?.snapshot().status.clone())
    }

    /// Returns the evidence of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn evidence(&self, id: &str) -> Result<RawJson> {
        Ok(self.handle(id)?.snapshot().evidence.clone())
    }

    /// Returns the verdict as a number.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn verdict(&self, id: &str) -> Result<RawJson> {
        Ok(self.handle(id)?.snapshot().verdict.clone())
    }

    /// Returns the last transitions of a rollout, the newest first.
    ///
    /// # Errors
    /// `rollout_not_found`, or `internal` when they cannot be read.
    pub async fn transitions(&self, id: &str, limit: usize) -> Result<RawJson> {
        self.check_is_leader()?;
        let run = self.handle(id)?.run;
        let records = &self.dependencies.records;
        let transitions = records.transitions(id, run, limit).await?;
        Ok(array(transitions.iter().map(String::as_str)))
    }

    /// Applies an operator action.
    ///
    /// # Errors
    /// `rollout_not_found`, or `conflict`.
    pub async fn apply_action(&self, id: &str, action: OperatorAction) -> Result<RawJson> {
        self.check_is_leader()?;
        let ended = || {
            let message = format!("rollout `{id}` has ended; start a new one");
            Error::new(Code::Conflict, message)
        };
        let (done, answer) = oneshot::channel();
        let action_requests = &self.handle(id)?.action_requests;
        action_requests
            .send((action, done))
            .await
            .map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Subscribes to the events of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        self.check_is_leader()?;
        Ok(Box::new(self.handle(id)?.watch()))
    }

    /// Returns the arm that a unit has now.
    ///
    /// # Errors
    /// `rollout_not_found`, or `invalid_request` for an empty unit.
    pub fn assign(&self, id: &str, unit: &str) -> Result<RawJson> {
        if unit.is_empty() {
            return Err(Error::invalid("`unit`: expected a text that is not empty"));
        }
        let assigner = self.handle(id)?.published.assigner.load_full();
        let arm = match assigner.arm_of(unit) {
            Some(0) => AssignedArm::Candidate,
            Some(_) => AssignedArm::Stable,
            None => AssignedArm::Outside,
        };
        document(&Assignment {
            rollout: id.to_owned(),
            unit: unit.to_owned(),
            arm,
            bucket: assigner.bucket_of(unit).into(),
        })
    }
}

/// Builds the error for changes to a model that a rollout controls.
#[must_use]
pub fn conflict(model: &ModelName, rollout: &str) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "rollout `{rollout}` controls the traffic of model `{model}`; wait until it \
             ends, or abort it"
        ),
    )
}
