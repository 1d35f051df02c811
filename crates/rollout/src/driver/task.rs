//! The task of one rollout: it samples counters, asks the state machine and applies its actions.
//!
//! Decision: one task for each rollout. It waits for the first of an operator action, a finished
//! load, the answer of a gate and the next sample, passes it to the state machine, and applies the
//! actions. Traffic is changed before anything is written, so a rollback waits for no disk;
//! progress is written after every sample, so a kill costs one block of counts.

mod actions;
mod sample;
mod versions;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{Code, Error, Result, RolloutEvent, Version};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Dependencies;
use super::baseline_alarm::BaselineAlarm;
use super::counter_deltas::CounterDeltas;
use super::epoch_units::EpochUnits;
use super::error_runs::ErrorRuns;
use super::notification_sender::NotificationSender;
use super::notifications::Notification;
use super::record::Record;
use super::snapshot::{ActionRequest, Published, RolloutSnapshot, TaskChannels, winner};
use super::traffic_control::RolloutTraffic;
use crate::state::{Action, Event, Refusal, Rollout};
use crate::timestamp::Timestamp;

/// Time between two checks of the guards, which need no statistics.
const GUARD_INTERVAL: Duration = Duration::from_millis(100);

/// Number of finished loads and gate answers that may wait to be handled.
const MAX_EVENTS: usize = 16;

/// Wall-clock time that advances monotonically from the start of the task.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    origin: Instant,
}

impl Clock {
    /// Starts a clock at the system time.
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.unwrap_or_default().as_millis();
        Self {
            base: Timestamp(u64::try_from(millis).unwrap_or(u64::MAX)),
            origin: Instant::now(),
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.base + self.origin.elapsed()
    }
}

/// The task of one rollout.
#[derive(Debug)]
pub(super) struct RolloutTask {
    dependencies: Arc<Dependencies>,
    rollout: Rollout,
    record: Record,
    clock: Clock,
    published: Arc<Published>,
    updates: broadcast::Sender<RolloutEvent>,
    traffic: Box<dyn RolloutTraffic>,
    counter_deltas: CounterDeltas,
    baseline_alarm: BaselineAlarm,
    events: mpsc::Sender<Event>,
    /// The record as last persisted.
    persisted: Option<Record>,
    /// Transitions that are not persisted yet.
    transitions: Vec<String>,
    /// Notifications that are not sent yet.
    notifications: Vec<Notification>,
    sender: Arc<NotificationSender>,
    /// The longest runs of errors since the last sample.
    error_runs: ErrorRuns,
    /// Units that were counted in the current assignment epoch; `None` when the traffic observes each
    /// unit once.
    counted_units: Option<EpochUnits>,
    /// The epoch in which units are assigned.
    assignment_epoch: u64,
    /// Version that stays loaded after the end, and for how long.
    warm: Option<(Version, Duration)>,
    /// Failed loads of the candidate that were handled.
    n_failed_loads: u64,
    is_finished: bool,
}

/// Channels that the task listens to.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Operator actions.
    pub(super) action_requests: mpsc::Receiver<ActionRequest>,
    events: mpsc::Receiver<Event>,
}

/// Initial state of the task.
#[derive(Debug)]
pub(super) struct InitialState {
    /// The state machine.
    pub(super) rollout: Rollout,
    /// The persisted record.
    pub(super) record: Record,
    /// Units that were counted before a restart; `None` when the traffic observes each unit once.
    pub(super) counted_units: Option<EpochUnits>,
    /// The traffic.
    pub(super) traffic: Box<dyn RolloutTraffic>,
    /// State shared with readers.
    pub(super) published: Arc<Published>,
    /// The ends of the channels of the handle.
    pub(super) channels: TaskChannels,
    pub(super) sender: Arc<NotificationSender>,
}

impl RolloutTask {
    /// Creates the task and its inbox.
    pub(super) fn new(dependencies: Arc<Dependencies>, start: InitialState) -> (Self, Inbox) {
        let clock = Clock::start();
        let assignment_epoch = start.rollout.config().assignment_epoch(clock.now());
        let (events, arriving) = mpsc::channel(MAX_EVENTS);
        let mut task = Self {
            dependencies,
            baseline_alarm: BaselineAlarm::new(clock.now()),
            clock,
            rollout: start.rollout,
            record: start.record,
            published: start.published,
            updates: start.channels.updates,
            traffic: start.traffic,
            counter_deltas: CounterDeltas::default(),
            events,
            persisted: None,
            transitions: Vec::new(),
            notifications: Vec::new(),
            sender: start.sender,
            error_runs: ErrorRuns::default(),
            counted_units: start.counted_units,
            assignment_epoch,
            warm: None,
            n_failed_loads: 0,
            is_finished: false,
        };
        task.n_failed_loads = task.failed_loads().map_or(0, |failed| failed.n);
        let inbox = Inbox {
            action_requests: start.channels.action_requests,
            events: arriving,
        };
        (task, inbox)
    }

    /// Runs until the rollout has ended and its end is published.
    pub(super) async fn run(mut self, mut inbox: Inbox, first: Vec<Action>) {
        self.apply_actions(first).await;
        // Errors are logged where they occur.
        drop(self.publish().await);
        let mut sampling = interval(self.dependencies.block);
        let mut guards = interval(GUARD_INTERVAL.min(self.dependencies.block));
        sampling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        guards.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_finished {
            tokio::select! {
                request = inbox.action_requests.recv() => match request {
                    Some(request) => {
                        self.sample_counters().await;
                        self.handle_action_request(request).await;
                    }
                    // The registry was dropped: the server is stopping.
                    None => return,
                },
                Some(event) = inbox.events.recv() => {
                    // Counts up to now belong to the current weight.
                    self.sample_counters().await;
                    self.handle_event(event).await;
                }
                _ = sampling.tick() => self.sample_counters().await,
                _ = guards.tick() => {
                    if !self.has_guard_fired() {
                        continue;
                    }
                    self.sample_counters().await;
                }
            }
            self.finish().await;
            drop(self.publish().await);
        }
    }

    /// Applies an operator action and replies.
    async fn handle_action_request(&mut self, (action, done): ActionRequest) {
        let now = self.clock.now();
        let answer = match self.rollout.apply_action(&action, now) {
            Ok(actions) => {
                self.apply_actions(actions).await;
                self.finish().await;
                let published = self.publish().await;
                published.and_then(|()| Ok(self.snapshot()?.status))
            }
            Err(refusal) => Err(refusal_error(&refusal)),
        };
        // The caller may have gone away.
        drop(done.send(answer));
    }

    /// Passes an event to the state machine and applies the resulting actions.
    async fn handle_event(&mut self, event: Event) {
        let is_warm = matches!(event, Event::WarmedUp | Event::WarmupFailed(_));
        if is_warm && self.traffic.end_warmup() {
            self.apply_traffic().await;
        }
        let actions = self.rollout.handle(event, self.clock.now());
        self.apply_actions(actions).await;
        if let Some(changed) = self.changed_candidate() {
            let actions = self.rollout.handle(changed, self.clock.now());
            self.apply_actions(actions).await;
        }
    }

    /// Returns control to operators once the rollout has ended; repeated until that is persisted.
    async fn finish(&mut self) {
        let Some(winner) = winner(&self.rollout).filter(|_| !self.is_finished) else {
            return;
        };
        let config = self.rollout.config();
        let finished = self
            .dependencies
            .traffic_control
            .finish(config, winner, self.warm.clone());
        match finished.await {
            Ok(()) => self.is_finished = true,
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(
                    rollout = self.id(),
                    %error,
                    diagnostic,
                    "failed to persist rollout result"
                );
            }
        }
    }

    /// Persists the progress, unless nothing has changed.
    ///
    /// # Errors
    /// Those of the records.
    async fn persist(&mut self) -> Result<()> {
        let record = self.record.at(self.rollout.progress());
        let units = self.counted_units.as_ref().and_then(EpochUnits::change);
        let is_known = units.is_none() && self.persisted.as_ref() == Some(&record);
        if self.transitions.is_empty() && is_known {
            return Ok(());
        }
        let transitions = self.transitions.clone();
        let notifications = std::mem::take(&mut self.notifications);
        let owner = (self.id(), &self.rollout.config().model);
        let sender = &self.sender;
        let written = sender.persist(owner, &record, transitions, units, &notifications);
        match written.await {
            Ok(()) => {
                self.transitions.clear();
                if let Some(counted_units) = &mut self.counted_units {
                    counted_units.saved();
                }
                self.persisted = Some(record);
                Ok(())
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), %error, diagnostic, "failed to persist rollout");
                // A full disk must not keep people from learning of a rollback. A decision that is
                // not stored in the shared store is none.
                if !self.dependencies.records.is_shared() {
                    self.sender.send(owner, notifications);
                }
                Err(error)
            }
        }
    }

    /// Persists the progress and publishes a snapshot. A decision about a shared rollout that cannot
    /// be stored ends the task: another one begins from the stored record.
    ///
    /// # Errors
    /// Those of such a decision.
    async fn publish(&mut self) -> Result<()> {
        let persisted = self.persist().await;
        if persisted.is_err() && self.dependencies.records.is_shared() {
            self.is_finished = true;
            return persisted;
        }
        match self.snapshot() {
            Ok(snapshot) => {
                self.published.snapshot.store(Arc::new(snapshot.clone()));
                self.notify_watchers(RolloutEvent::Evidence(snapshot.evidence));
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout = self.id(), diagnostic, "failed to publish rollout");
            }
        }
        self.report_metrics();
        Ok(())
    }

    fn snapshot(&self) -> Result<RolloutSnapshot> {
        RolloutSnapshot::new(&self.rollout, Some(&*self.traffic))
    }

    fn id(&self) -> &str {
        &self.rollout.config().id
    }
}

/// Converts a refusal into an error for the caller.
fn refusal_error(refusal: &Refusal) -> Error {
    Error::new(Code::Conflict, refusal.to_string())
}
