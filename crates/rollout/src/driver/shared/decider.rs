//! The task of a rollout on the server that decides.
//!
//! Decision: it is the task that a server without others runs. Its traffic is that of all servers,
//! and its record is the stored one, so there is one driver of rollouts. It ends with its first
//! decision that is not stored.

use std::sync::Arc;
use std::time::Duration;

use contract::{
    BoxFuture, Code, Error, ModelName, OperatorAction, PendingCounts, RawJson, Result, Routing,
    Version,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::Dependencies;
use super::super::notification_sender::NotificationSender;
use super::super::record::{Commits, Record};
use super::super::snapshot::{ActionRequest, RolloutHandle, RolloutSnapshot};
use super::super::task::{Clock, InitialState, RolloutTask};
use super::super::traffic_control::{FailedLoads, ReadyVersion, RolloutTraffic, TrafficControl};
use super::traffic::{Inflow, LocalTraffic, SharedTraffic};
use super::{Sharing, applied};
use crate::config::RolloutConfig;
use crate::state::Availability;
use crate::timestamp::Timestamp;

/// Time in which the task of an ended rollout gives its last answer.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// The running task of a rollout. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Decider {
    task: JoinSet<()>,
    action_requests: mpsc::Sender<ActionRequest>,
    inflow: Arc<Inflow>,
    _handle: Arc<RolloutHandle>,
}

impl Decider {
    /// Starts the task from a stored record.
    ///
    /// # Errors
    /// `internal` when the record does not fit its rollout file.
    pub(super) async fn start(
        sharing: &Sharing,
        revision: u64,
        record: Record,
        traffic: LocalTraffic,
    ) -> Result<Self> {
        let (rollout, actions) = applied::rollout(&record, Clock::start().now())?;
        let inflow = Arc::new(Inflow::after(record.n_counted));
        let traffic = SharedTraffic::new(traffic, Arc::clone(&inflow)).await;
        let snapshot = RolloutSnapshot::new(&rollout, None)?;
        let assigner = traffic.assigner().clone();
        let config = rollout.config();
        let (handle, channels) = RolloutHandle::new(config, &record.file, snapshot, assigner);
        let dependencies = dependencies(sharing, revision);
        let sender = NotificationSender::new(&dependencies);
        let start = InitialState {
            rollout,
            record,
            // The shared store counts each unit once.
            counted_units: None,
            traffic: Box::new(traffic),
            published: Arc::clone(&handle.published),
            channels,
            sender,
        };
        let (rollout_task, inbox) = RolloutTask::new(Arc::new(dependencies), start);
        let mut task = JoinSet::new();
        task.spawn(rollout_task.run(inbox, actions));
        Ok(Self {
            task,
            action_requests: handle.action_requests.clone(),
            inflow,
            _handle: handle,
        })
    }

    /// Returns whether the task has ended: with the rollout, or because a decision was not stored.
    pub(super) fn has_ended(&mut self) -> bool {
        while self.task.try_join_next().is_some() {}
        self.task.is_empty()
    }

    /// Lets the task answer the operator who ended the rollout.
    pub(super) fn end(mut self) {
        tokio::spawn(async move {
            // One that another server ended does not end by itself.
            drop(timeout(LAST_ANSWER, self.task.join_next()).await);
        });
    }

    /// Adds stored counts, except those that it has already.
    pub(super) fn add(&self, pending: PendingCounts) {
        self.inflow.add(pending);
    }

    /// Applies an operator action; returns the status after it.
    pub(super) fn apply_action(
        &self,
        action: OperatorAction,
    ) -> BoxFuture<'static, Result<RawJson>> {
        let requests = self.action_requests.clone();
        let ended = || {
            let message = "the server that decides about the rollout has changed; try again";
            Error::new(Code::Unavailable, message)
        };
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let sent = requests.send((action, done)).await;
            sent.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?
        })
    }
}

/// Returns the dependencies of the task: it writes to the store, and finishes nothing here.
fn dependencies(sharing: &Sharing, revision: u64) -> Dependencies {
    let here = &*sharing.dependencies;
    let commits = Commits::after(
        revision,
        Arc::clone(&sharing.store),
        Arc::clone(&sharing.replica),
        Arc::clone(&sharing.wake),
    );
    Dependencies {
        traffic_control: Arc::new(SharedTrafficControl(Arc::clone(&here.traffic_control))),
        records: here.records.shared(Arc::new(commits)),
        ..here.clone()
    }
}

/// The versions of this server, for a task whose result every server applies by itself.
#[derive(Debug)]
struct SharedTrafficControl(Arc<dyn TrafficControl>);

impl TrafficControl for SharedTrafficControl {
    fn ready_version(&self, model: &ModelName, version: &Version) -> Option<ReadyVersion> {
        self.0.ready_version(model, version)
    }

    fn availability(&self, model: &ModelName, version: &Version) -> Availability {
        self.0.availability(model, version)
    }

    fn failed_loads(&self, model: &ModelName, version: &Version) -> Option<FailedLoads> {
        self.0.failed_loads(model, version)
    }

    fn versions(&self, model: &ModelName) -> Vec<Version> {
        self.0.versions(model)
    }

    fn rescan(&self) -> BoxFuture<'_, Result<()>> {
        self.0.rescan()
    }

    fn routing(&self, model: &ModelName) -> Result<Routing> {
        self.0.routing(model)
    }

    fn default_version(&self, model: &ModelName) -> Option<Version> {
        self.0.default_version(model)
    }

    fn traffic(
        &self,
        config: &RolloutConfig,
        weight: f64,
        now: Timestamp,
    ) -> Result<Box<dyn RolloutTraffic>> {
        self.0.traffic(config, weight, now)
    }

    fn ensure_loaded(
        &self,
        config: &RolloutConfig,
        version: &Version,
    ) -> BoxFuture<'static, Result<()>> {
        self.0.ensure_loaded(config, version)
    }

    fn finish<'a>(
        &'a self,
        _config: &'a RolloutConfig,
        _winner: Version,
        _warm: Option<(Version, Duration)>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
