//! The repository controller: the one task that owns the repository state.
//!
//! It waits for the first of a call, a finished load, a drained version, a change on disk, the next
//! scan and the end of a bandit period, applies it to the state, and publishes a new snapshot.
//! Scans and loads run on threads that may block, and neither can hold up the others for ever.

mod bandits;
mod change;
mod command;
mod loads;
mod memory;
mod rollout_routing;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::{ModelName, Observe, Result, Split, Version};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::desired::DesiredState;
use super::persistence::DesiredStateStore;
use super::plan::Timing;
use super::snapshot::Snapshot;
use super::state::{LoadJob, RepositoryState, Retired, RolloutRouting};
use crate::catalog::layout::{Scan, Scanner};
use crate::catalog::version::VersionLoader;

pub(crate) use change::ChangeRequest;
pub(crate) use command::Command;
pub(crate) use rollout_routing::RolloutResult;

use bandits::Periods;
use change::VersionLoad;
use loads::{FinishedLoad, LoadResult, Loads};

/// Delay of a scan after a change: changes come in bursts, and most of one should be over.
const BURST_DELAY: Duration = Duration::from_millis(200);

/// The time for which the files of the last version of a model must be missing before it is retired:
/// long enough to replace a folder by hand, or to mount a drive again.
pub(crate) const REMOVAL_DELAY: Duration = Duration::from_secs(10);

/// The debounce of a plan that follows no scan: the files may have changed since the last one.
const NEVER: Duration = Duration::MAX;

/// Intervals of the controller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// Time between two scans.
    pub(crate) poll: Duration,
    /// Time for which files must stay unchanged before a version is loaded.
    pub(crate) debounce: Duration,
    /// Time after which a load has failed.
    pub(crate) load_timeout: Duration,
}

#[derive(Debug)]
enum Event {
    Command(Command),
    Load(Option<FinishedLoad>),
    Drained(u64),
    Changed,
    ScanDue,
    PeriodEnded,
}

/// Dependencies of the controller.
#[derive(Debug)]
pub(crate) struct ControllerDependencies {
    /// Scanner of the roots.
    pub(crate) scanner: Scanner,
    /// Loader of versions.
    pub(crate) version_loader: VersionLoader,
    /// The published snapshot.
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    /// Intervals between scans.
    pub(crate) intervals: Intervals,
    /// Store of the desired states and the history.
    pub(crate) persistence: DesiredStateStore,
}

/// State restored after a restart.
#[derive(Debug, Default)]
pub(crate) struct RestoredState {
    /// Desired state by model.
    pub(crate) desired: Vec<(ModelName, DesiredState)>,
    /// Routing of the resumed rollouts.
    pub(crate) rollout_routings: Vec<(ModelName, RolloutRouting)>,
}

/// The task that owns the repository state.
#[derive(Debug)]
pub(crate) struct RepositoryController {
    scanner: Scanner,
    version_loader: Arc<VersionLoader>,
    published: Arc<ArcSwap<Snapshot>>,
    intervals: Intervals,
    state: RepositoryState,
    running: Loads,
    /// A scan that takes longer than the controller waits for one.
    slow_scan: Option<JoinHandle<Scan>>,
    drains: JoinSet<u64>,
    loads: Vec<(ModelName, oneshot::Sender<Result<()>>)>,
    rescans: Vec<oneshot::Sender<()>>,
    persistence: DesiredStateStore,
    version_loads: Vec<VersionLoad>,
    defaults: BTreeMap<ModelName, Version>,
    /// The splits of the files, where these apply.
    file_splits: BTreeMap<ModelName, Option<Split>>,
    warnings: BTreeSet<String>,
    next_scan: Instant,
    periods: Periods,
}

impl RepositoryController {
    /// Creates a controller from a first scan, whose models are published as loading, and from the
    /// restored state.
    pub(crate) fn new(
        dependencies: ControllerDependencies,
        scan: Scan,
        restored: RestoredState,
    ) -> Self {
        let mut controller = Self {
            scanner: dependencies.scanner,
            version_loader: Arc::new(dependencies.version_loader),
            published: dependencies.published,
            intervals: dependencies.intervals,
            persistence: dependencies.persistence,
            version_loads: Vec::new(),
            defaults: BTreeMap::new(),
            file_splits: BTreeMap::new(),
            state: RepositoryState::default(),
            running: Loads::new(dependencies.intervals.load_timeout),
            slow_scan: None,
            drains: JoinSet::new(),
            loads: Vec::new(),
            rescans: Vec::new(),
            warnings: BTreeSet::new(),
            next_scan: Instant::now(),
            periods: Periods::default(),
        };
        for (model, desired) in restored.desired {
            controller.state.restore_desired(model, desired);
        }
        for (model, rollout_routing) in restored.rollout_routings {
            controller
                .state
                .restore_rollout_routing(model, rollout_routing);
        }
        // Only a call to load a model can fail, and there is none.
        controller.apply_scan(scan, true, None).unwrap_or_default();
        controller.file_splits = controller.state.file_splits();
        controller.publish();
        controller
    }

    /// Runs until the last sender of commands is dropped.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, changes: Arc<Notify>) {
        loop {
            self.start_next_load();
            self.complete_loads();
            self.sync_bandit_periods();
            let event = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Event::Command(command),
                    None => return,
                },
                event = self.running.next() => Event::Load(event),
                Some(drained) = self.drains.join_next() => match drained {
                    Ok(drain_id) => Event::Drained(drain_id),
                    // Waiting cannot panic and is never aborted.
                    Err(_) => continue,
                },
                () = changes.notified() => Event::Changed,
                () = tokio::time::sleep_until(self.next_scan) => Event::ScanDue,
                () = self.periods.next_end() => Event::PeriodEnded,
            };
            self.handle(event).await;
            self.record_split_changes().await;
            self.publish();
            self.record_default_changes().await;
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Command(Command::Rescan { done }) => {
                // A failed scan is logged, and the next one is due soon.
                self.scan(None).await.unwrap_or_default();
                self.rescans.push(done);
            }
            Event::Command(Command::Scan { done }) => {
                let result = self.scan(None).await;
                self.publish();
                reply(done, result);
            }
            Event::Command(Command::Load { model, done }) => self.load(model, done).await,
            Event::Command(Command::Unload { model, done }) => {
                let result = self.state.request_unload(&model);
                if result.is_ok() {
                    self.plan(&model, NEVER, false);
                }
                self.publish();
                reply(done, result);
            }
            Event::Command(Command::Change { request, done }) => self.change(request, done).await,
            Event::Command(Command::SetRolloutSplit {
                model,
                rollout_routing,
                done,
            }) => {
                let result = self.set_rollout_routing(&model, *rollout_routing);
                reply(done, result);
            }
            Event::Command(Command::EnsureLoaded {
                model,
                version,
                actor,
                done,
            }) => self.ensure_loaded(model, version, actor, done).await,
            Event::Command(Command::FinishRollout {
                rollout_result,
                done,
            }) => {
                let result = self.finish_rollout(&rollout_result).await;
                reply(done, result);
            }
            Event::Command(Command::ReleaseWarm { model, version }) => {
                self.state.release_warm(&model, &version);
                self.plan(&model, NEVER, false);
            }
            Event::Load(None) => {}
            Event::Load(Some((job, result))) => {
                let (model, version) = (job.model.clone(), job.version.clone());
                self.finish(job, result);
                self.record_content(&model, &version).await;
            }
            Event::Drained(drain_id) => self.state.drained(drain_id),
            Event::Changed => self.next_scan = self.next_scan.min(Instant::now() + BURST_DELAY),
            Event::ScanDue => self.scan(None).await.unwrap_or_default(),
            Event::PeriodEnded => self.update_bandit_weights(),
        }
    }

    async fn load(&mut self, model: ModelName, done: oneshot::Sender<Result<()>>) {
        match self.scan(Some(&model)).await {
            Ok(()) => self.loads.push((model, done)),
            Err(error) => reply(done, Err(error)),
        }
    }

    fn plan(&mut self, name: &ModelName, debounce: Duration, is_first_scan: bool) {
        // Without a scan there was no second look.
        let removal_delay = match debounce == NEVER {
            true => NEVER,
            false => REMOVAL_DELAY,
        };
        let timing = Timing {
            now: Instant::now().into_std(),
            debounce,
            removal_delay,
            is_first_scan,
        };
        for retired in self.state.plan(name, &timing) {
            self.drain(retired);
        }
    }

    fn drain(&mut self, retired: Retired) {
        self.drains.spawn(async move {
            retired.released.wait().await;
            retired.loaded_version.drained().await;
            retired.loaded_version.stop();
            retired.drain_id
        });
    }

    fn start_next_load(&mut self) {
        while self.running.can_start()
            && let Some(job) = self.state.next_job()
        {
            self.running.start(job, &self.version_loader);
        }
    }

    fn finish(&mut self, job: LoadJob, result: LoadResult) {
        let (model, version) = (&job.model, &job.version);
        match &result {
            Ok((served, _)) => {
                let load_time = served.load_time;
                tracing::info!(%model, %version, ?load_time, "loaded model version");
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(
                    %model, %version, %error, diagnostic, "failed to load model version"
                );
            }
        }
        let name = job.model.clone();
        if let Some(replaced) = self.state.finish(job, result) {
            self.drain(replaced);
        }
        // A version that was only kept until this one is ready can be retired now.
        self.plan(&name, NEVER, false);
    }

    /// Answers the calls whose work is done; called after a snapshot was published.
    fn complete_loads(&mut self) {
        for (model, done) in std::mem::take(&mut self.loads) {
            match self.state.load_result(&model) {
                Some(result) => reply(done, result),
                None => self.loads.push((model, done)),
            }
        }
        self.complete_version_loads();
        if self.state.is_idle() {
            for done in self.rescans.drain(..) {
                reply(done, ());
            }
        }
    }

    fn publish(&self) {
        let snapshot = Arc::new(self.state.snapshot());
        let before = self.published.swap(Arc::clone(&snapshot));
        let observe: &dyn Observe = &*self.version_loader.observe;
        snapshot.report_changes(&before, observe);
    }
}

/// Sends a reply, unless the caller went away.
fn reply<T>(done: oneshot::Sender<T>, reply: T) {
    drop(done.send(reply));
}
