//! The registry of all rollouts of the server by id.
//!
//! Decision: readers use a map that is swapped as a whole, and two starts never run at once. An id
//! is used by one rollout at a time; each run has its number, which is a part of the salt of its
//! assignment and of the key of its transitions.

mod active;
mod addresses;
mod restored;
mod shared;
mod start;
mod start_notifications;

use std::sync::Arc;

use api::rollout::{AssignedArm, Assignment};
use contract::{
    Code, Error, ModelName, OperatorAction, RawJson, Result, RolloutWatch, SharedRollouts,
};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;

use super::Dependencies;
use super::documents::{array, document};
use super::epoch_units::EpochUnits;
use super::handles::Handles;
use super::notification_sender::NotificationSender;
use super::record::Record;
use super::shared::Exchange;
use super::snapshot::{RolloutHandle, RolloutSnapshot, TaskChannels};
use super::task::{Clock, InitialState, RolloutTask};
use super::traffic_control::RolloutTraffic;
use crate::state::{Action, Rollout};

pub use active::ActiveRollout;
pub use restored::Restored;

/// All rollouts of the server.
#[derive(Debug)]
pub struct Registry {
    dependencies: Arc<Dependencies>,
    handles: Arc<Handles>,
    starting: Mutex<()>,
    sender: Arc<NotificationSender>,
    /// The exchange with a shared store; `None` when rollouts are those of this server alone.
    exchange: Option<Arc<Exchange>>,
    /// The task of the exchange, which ends with the registry.
    _tasks: JoinSet<()>,
}

impl Registry {
    /// Creates a registry that resumes the restored rollouts, and shares rollouts with other servers
    /// through a store, where there is one.
    ///
    /// # Errors
    /// `internal` when a document of a stored rollout cannot be built.
    pub fn new(
        dependencies: Dependencies,
        restored: Restored,
        shared: Option<Arc<dyn SharedRollouts>>,
    ) -> Result<Self> {
        let dependencies = Arc::new(dependencies);
        let handles = Arc::<Handles>::default();
        let mut tasks = JoinSet::new();
        let exchange = match shared {
            Some(store) => {
                let exchange = Exchange::new(store, &dependencies, &handles, restored.applied)?;
                let exchange = Arc::new(exchange);
                tasks.spawn(Arc::clone(&exchange).run());
                Some(exchange)
            }
            None => {
                shared::abandon(&dependencies, &handles, restored.applied)?;
                None
            }
        };
        let registry = Self {
            sender: NotificationSender::new(&dependencies),
            dependencies,
            handles,
            starting: Mutex::default(),
            exchange,
            _tasks: tasks,
        };
        for (rollout, record) in restored.ended {
            let traffic = registry.traffic(&rollout)?;
            registry.register(&rollout, &record, &*traffic)?;
        }
        for (id, model, notifications) in restored.notifications {
            registry.sender.send((&id, &model), notifications.pending);
        }
        for (rollout, record, actions) in restored.running {
            let traffic = registry.traffic(&rollout)?;
            let counted_units = registry.dependencies.records.units(&rollout.config().id)?;
            registry.run(rollout, record, counted_units, actions, traffic)?;
        }
        Ok(registry)
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
        self.handles.insert(&config.id, &handle);
        Ok((handle, channels))
    }

    /// Creates the traffic of a rollout at its current weight.
    fn traffic(&self, rollout: &Rollout) -> Result<Box<dyn RolloutTraffic>> {
        let traffic_control = &self.dependencies.traffic_control;
        let weight = rollout.traffic().weight;
        traffic_control.traffic(rollout.config(), weight, Clock::start().now())
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
            counted_units: Some(counted_units),
            traffic,
            published: Arc::clone(&handle.published),
            channels,
            sender: Arc::clone(&self.sender),
        };
        let (task, inbox) = RolloutTask::new(Arc::clone(&self.dependencies), start);
        tokio::spawn(task.run(inbox, actions));
        Ok(status)
    }

    /// Returns the status of every rollout, the running ones first.
    pub fn list(&self) -> RawJson {
        let handles = self.handles.load();
        let snapshots = handles.values().map(|handle| handle.snapshot());
        let (ended, running): (Vec<_>, Vec<_>) =
            snapshots.partition(|snapshot| snapshot.is_final());
        let statuses = running.iter().chain(&ended);
        let statuses = statuses.map(|snapshot| self.with_shared_state(&snapshot.status));
        let statuses: Vec<_> = statuses.collect();
        array(statuses.iter().map(RawJson::as_str))
    }

    /// Returns the status of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn status(&self, id: &str) -> Result<RawJson> {
        Ok(self.with_shared_state(&self.handles.get(id)?.snapshot().status))
    }

    /// Returns the evidence of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn evidence(&self, id: &str) -> Result<RawJson> {
        Ok(self.handles.get(id)?.snapshot().evidence.clone())
    }

    /// Returns the verdict as a number.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn verdict(&self, id: &str) -> Result<RawJson> {
        Ok(self.handles.get(id)?.snapshot().verdict.clone())
    }

    /// Returns the last transitions of a rollout, the newest first.
    ///
    /// # Errors
    /// `rollout_not_found`, or `internal` when they cannot be read.
    pub async fn transitions(&self, id: &str, limit: usize) -> Result<RawJson> {
        let run = self.handles.get(id)?.run;
        let records = &self.dependencies.records;
        let mut transitions = records.transitions(id, run, limit).await?;
        if let Some(exchange) = self.exchange.as_ref().filter(|_| transitions.is_empty()) {
            transitions = exchange.store().transitions(id, limit).await?;
        }
        Ok(array(transitions.iter().map(String::as_str)))
    }

    /// Applies an operator action.
    ///
    /// # Errors
    /// `rollout_not_found`, `conflict`, or `unavailable` when no server decides about a shared one.
    pub async fn apply_action(&self, id: &str, action: OperatorAction) -> Result<RawJson> {
        let ended = || {
            let message = format!("rollout `{id}` has ended; start a new one");
            Error::new(Code::Conflict, message)
        };
        let (done, answer) = oneshot::channel();
        let action_requests = &self.handles.get(id)?.action_requests;
        action_requests
            .send((action, done))
            .await
            .map_err(|_| ended())?;
        if let Some(exchange) = &self.exchange {
            exchange.wake();
        }
        answer.await.map_err(|_| ended())?
    }

    /// Subscribes to the events of a rollout.
    ///
    /// # Errors
    /// `rollout_not_found`.
    pub fn watch(&self, id: &str) -> Result<Box<dyn RolloutWatch>> {
        Ok(Box::new(self.handles.get(id)?.watch()))
    }

    /// Returns the arm that a unit has now.
    ///
    /// # Errors
    /// `rollout_not_found`, or `invalid_request` for an empty unit.
    pub fn assign(&self, id: &str, unit: &str) -> Result<RawJson> {
        if unit.is_empty() {
            return Err(Error::invalid("`unit`: expected a text that is not empty"));
        }
        let assigner = self.handles.get(id)?.published.assigner.load_full();
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
