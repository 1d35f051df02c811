//! The keeper: the one task that owns the ledger.
//!
//! It waits for whatever comes first (a call, a finished load, a drained variant, a change on disk,
//! the next scan, the end of a period of a bandit), lets the ledger take note, and publishes a new snapshot. Loads run one at a time
//! on a thread that may block, so two large models never need memory for both at once.

mod bandits;
mod change;
mod command;
mod memory;
mod rollout_routing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use contract::{Code, Error, ModelName, Observe, Result, Split, Version};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::desired::DesiredState;
use super::layout::{Scan, Scanner};
use super::persistence::DesiredStateStore;
use super::plan::Timing;
use super::snapshot::{Load, ReleaseSignal, ServedVersion, Snapshot};
use super::state::{LoadJob, RepositoryState, Retired, RolloutRouting};
use super::version::VersionLoader;

pub(crate) use change::ChangeRequest;
pub(crate) use command::Command;
pub(crate) use rollout_routing::RolloutResult;

use bandits::Periods;
use change::VersionLoad;
use memory::resident_bytes;

/// Changes come in bursts; the scan waits until most of one is over.
const BURST_DELAY: Duration = Duration::from_millis(200);

/// The settling time of a plan that follows no scan: what was seen may have changed since.
const NEVER: Duration = Duration::MAX;

/// The times that the keeper obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// From one scan to the next.
    pub(crate) poll: Duration,
    /// How long a version must stay the same before it is loaded.
    pub(crate) debounce: Duration,
}

#[derive(Debug)]
enum Event {
    Command(Command),
    Loaded(LoadJob, Result<(Arc<ServedVersion>, ReleaseSignal)>),
    Drained(u64),
    Changed,
    ScanDue,
    PeriodEnded,
}

#[derive(Debug)]
struct RunningLoad {
    job: LoadJob,
    task: JoinHandle<Result<(Arc<ServedVersion>, ReleaseSignal)>>,
}

/// What the keeper works with.
#[derive(Debug)]
pub(crate) struct ControllerDependencies {
    /// Reads the roots.
    pub(crate) scanner: Scanner,
    /// Opens versions.
    pub(crate) version_loader: VersionLoader,
    /// Where the snapshots go.
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    /// The times to obey.
    pub(crate) intervals: Intervals,
    /// Where wishes and history are kept.
    pub(crate) persistence: DesiredStateStore,
}

/// What was decided before a restart.
#[derive(Debug, Default)]
pub(crate) struct RestoredState {
    /// What operators have asked for.
    pub(crate) desired: Vec<(ModelName, DesiredState)>,
    /// What rollouts that go on have decided.
    pub(crate) rollout_routings: Vec<(ModelName, RolloutRouting)>,
}

/// The task that owns the ledger.
#[derive(Debug)]
pub(crate) struct RepositoryController {
    scanner: Scanner,
    version_loader: Arc<VersionLoader>,
    published: Arc<ArcSwap<Snapshot>>,
    intervals: Intervals,
    state: RepositoryState,
    running: Option<RunningLoad>,
    drains: JoinSet<u64>,
    loads: Vec<(ModelName, oneshot::Sender<Result<()>>)>,
    rescans: Vec<oneshot::Sender<()>>,
    persistence: DesiredStateStore,
    version_loads: Vec<VersionLoad>,
    defaults: BTreeMap<ModelName, Version>,
    /// The splits of the files, where they are in force.
    file_splits: BTreeMap<ModelName, Option<Split>>,
    warnings: BTreeSet<String>,
    next_scan: Instant,
    periods: Periods,
}

impl RepositoryController {
    /// A keeper that has seen `scan`, with the models of it published as loading, and obeys what was
    /// decided before.
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
            running: None,
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

    /// Works until the last sender of commands is gone.
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
                result = finished(&mut self.running) => result,
                Some(drained) = self.drains.join_next() => match drained {
                    Ok(drain_id) => Event::Drained(drain_id),
                    // Waiting cannot panic, and nobody aborts it.
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
                // A scan that failed is in the log, and the next one is due soon.
                self.scan(None).await.unwrap_or_default();
                self.rescans.push(done);
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
            Event::Loaded(job, result) => {
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

    /// Reads the roots and plans; `asked` is loaded without waiting until it has settled.
    async fn scan(&mut self, asked: Option<&ModelName>) -> Result<()> {
        let scanner = self.scanner.clone();
        let scan = tokio::task::spawn_blocking(move || scanner.scan(SystemTime::now())).await;
        match scan {
            Ok(scan) => self.apply_scan(scan, false, asked),
            Err(error) => {
                tracing::error!(%error, "a scan of the repository ended early");
                self.next_scan = Instant::now() + self.intervals.poll;
                Err(Error::internal(format!("scanning the repository: {error}")))
            }
        }
    }

    fn apply_scan(
        &mut self,
        scan: Scan,
        is_first_scan: bool,
        asked: Option<&ModelName>,
    ) -> Result<()> {
        for warning in scan.warnings.difference(&self.warnings) {
            tracing::warn!(%warning, "something in the repository is passed over");
        }
        self.warnings.clone_from(&scan.warnings);
        self.state.apply_scan(scan, is_first_scan);
        let result = asked.map_or(Ok(()), |asked| self.state.request_load(asked));
        for name in self.state.names() {
            let debounce = match asked == Some(&name) {
                true => Duration::ZERO,
                false => self.intervals.debounce,
            };
            self.plan(&name, debounce, is_first_scan);
        }
        let wait = match self.state.is_debouncing() {
            true => self.intervals.poll.min(self.intervals.debounce),
            false => self.intervals.poll,
        };
        self.next_scan = Instant::now() + wait;
        result
    }

    fn plan(&mut self, name: &ModelName, debounce: Duration, is_first_scan: bool) {
        let timing = Timing {
            now: Instant::now().into_std(),
            debounce,
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
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.state.next_job() else {
            return;
        };
        let (version_loader, request) = (Arc::clone(&self.version_loader), job.clone());
        let started = Instant::now();
        let task = tokio::task::spawn_blocking(move || {
            let memory = resident_bytes();
            let loaded_version =
                version_loader.open(&request.model, &request.version, &request.artifact)?;
            let load = Load {
                time: started.elapsed(),
                fingerprint: request.artifact.fingerprint.to_string(),
                // Loads run one at a time, so most of the growth belongs to this one.
                memory_bytes: resident_bytes()
                    .zip(memory)
                    .map(|(now, b)| now.saturating_sub(b)),
            };
            Ok(ServedVersion::new(loaded_version, load))
        });
        self.running = Some(RunningLoad { job, task });
    }

    fn finish(&mut self, job: LoadJob, result: Result<(Arc<ServedVersion>, ReleaseSignal)>) {
        let (model, version) = (&job.model, &job.version);
        match &result {
            Ok((served, _)) => {
                let load_time = served.load_time;
                tracing::info!(%model, %version, ?load_time, "a version is ready");
            }
            Err(error) => {
                let diagnostic = error.diagnostic();
                tracing::error!(%model, %version, %error, diagnostic, "a version failed to load");
            }
        }
        let name = job.model.clone();
        if let Some(replaced) = self.state.finish(job, result) {
            self.drain(replaced);
        }
        // A version that only waited for this one may go now.
        self.plan(&name, NEVER, false);
    }

    /// Answers the calls whose work is done. Comes after a snapshot was published.
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

/// The end of the load that runs; never, when none does.
async fn finished(running: &mut Option<RunningLoad>) -> Event {
    let Some(RunningLoad { task, .. }) = running.as_mut() else {
        return std::future::pending().await;
    };
    let result = task.await;
    let Some(RunningLoad { job, .. }) = running.take() else {
        return std::future::pending().await;
    };
    let result = result.unwrap_or_else(|error| {
        let sentence = "the engine broke down while loading; the log says why";
        Err(Error::new(Code::EngineFailed, sentence).with_diagnostic(error.to_string()))
    });
    Event::Loaded(job, result)
}

/// A caller that went away needs no answer.
fn reply<T>(done: oneshot::Sender<T>, reply: T) {
    drop(done.send(reply));
}
