//! The keeper: the one task that owns the ledger.
//!
//! It waits for whatever comes first (a call, a finished load, a drained variant, a change on disk,
//! the next scan, the end of a period of a bandit), lets the ledger take note, and publishes a new snapshot. Loads run one at a time
//! on a thread that may block, so two large models never need memory for both at once.

mod bandits;
mod change;
mod command;
mod memory;
mod steering;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use contract::{Code, Error, ModelName, Observe, Result, Split, Version};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::archive::Archive;
use super::layout::{Scan, Scanner};
use super::ledger::{Job, Ledger, Retired, Steering};
use super::plan::Timing;
use super::snapshot::{Load, Released, Served, Snapshot};
use super::version::Opener;
use super::wishes::Wishes;

pub(crate) use change::Order;
pub(crate) use command::Command;
pub(crate) use steering::Ending;

use bandits::Periods;
use change::VersionLoad;
use memory::resident_bytes;

/// Changes come in bursts; the scan waits until most of one is over.
const BURST: Duration = Duration::from_millis(200);

/// The settling time of a plan that follows no scan: what was seen may have changed since.
const NEVER: Duration = Duration::MAX;

/// The times that the keeper obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// From one scan to the next.
    pub(crate) poll: Duration,
    /// How long a version must stay the same before it is loaded.
    pub(crate) settle: Duration,
}

#[derive(Debug)]
enum Event {
    Command(Command),
    Loaded(Job, Result<(Arc<Served>, Released)>),
    Drained(u64),
    Changed,
    ScanDue,
    PeriodEnded,
}

#[derive(Debug)]
struct Running {
    job: Job,
    task: JoinHandle<Result<(Arc<Served>, Released)>>,
}

/// What the keeper works with.
#[derive(Debug)]
pub(crate) struct Tools {
    /// Reads the roots.
    pub(crate) scanner: Scanner,
    /// Opens versions.
    pub(crate) opener: Opener,
    /// Where the snapshots go.
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    /// The times to obey.
    pub(crate) intervals: Intervals,
    /// Where wishes and history are kept.
    pub(crate) archive: Archive,
}

/// What was decided before a restart.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What operators have asked for.
    pub(crate) wishes: Vec<(ModelName, Wishes)>,
    /// What rollouts that go on have decided.
    pub(crate) steerings: Vec<(ModelName, Steering)>,
}

/// The task that owns the ledger.
#[derive(Debug)]
pub(crate) struct Keeper {
    scanner: Scanner,
    opener: Arc<Opener>,
    published: Arc<ArcSwap<Snapshot>>,
    intervals: Intervals,
    ledger: Ledger,
    running: Option<Running>,
    drains: JoinSet<u64>,
    loads: Vec<(ModelName, oneshot::Sender<Result<()>>)>,
    rescans: Vec<oneshot::Sender<()>>,
    archive: Archive,
    version_loads: Vec<VersionLoad>,
    defaults: BTreeMap<ModelName, Version>,
    /// The splits of the files, where they are in force.
    file_splits: BTreeMap<ModelName, Option<Split>>,
    remarks: BTreeSet<String>,
    next_scan: Instant,
    periods: Periods,
}

impl Keeper {
    /// A keeper that has seen `scan`, with the models of it published as loading, and obeys what was
    /// decided before.
    pub(crate) fn new(tools: Tools, scan: Scan, past: Past) -> Self {
        let mut keeper = Self {
            scanner: tools.scanner,
            opener: Arc::new(tools.opener),
            published: tools.published,
            intervals: tools.intervals,
            archive: tools.archive,
            version_loads: Vec::new(),
            defaults: BTreeMap::new(),
            file_splits: BTreeMap::new(),
            ledger: Ledger::default(),
            running: None,
            drains: JoinSet::new(),
            loads: Vec::new(),
            rescans: Vec::new(),
            remarks: BTreeSet::new(),
            next_scan: Instant::now(),
            periods: Periods::default(),
        };
        for (model, wishes) in past.wishes {
            keeper.ledger.restore(model, wishes);
        }
        for (model, steering) in past.steerings {
            keeper.ledger.steer_again(model, steering);
        }
        // Only a call to load a model can fail, and there is none.
        keeper.take(scan, true, None).unwrap_or_default();
        keeper.file_splits = keeper.ledger.file_splits();
        keeper.publish();
        keeper
    }

    /// Works until the last sender of commands is gone.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, changes: Arc<Notify>) {
        loop {
            self.start_next_load();
            self.answer();
            self.follow_bandits();
            let event = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Event::Command(command),
                    None => return,
                },
                result = finished(&mut self.running) => result,
                Some(drained) = self.drains.join_next() => match drained {
                    Ok(ticket) => Event::Drained(ticket),
                    // Waiting cannot panic, and nobody aborts it.
                    Err(_) => continue,
                },
                () = changes.notified() => Event::Changed,
                () = tokio::time::sleep_until(self.next_scan) => Event::ScanDue,
                () = self.periods.end() => Event::PeriodEnded,
            };
            self.handle(event).await;
            self.note_file_splits().await;
            self.publish();
            self.note_defaults().await;
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
                let result = self.ledger.ask_to_unload(&model);
                if result.is_ok() {
                    self.plan(&model, NEVER, false);
                }
                self.publish();
                answer(done, result);
            }
            Event::Command(Command::Change { order, done }) => self.change(order, done).await,
            Event::Command(Command::Steer {
                model,
                steering,
                done,
            }) => {
                let result = self.steer(&model, *steering);
                answer(done, result);
            }
            Event::Command(Command::Provide {
                model,
                version,
                actor,
                done,
            }) => self.provide(model, version, actor, done).await,
            Event::Command(Command::Settle { ending, done }) => {
                let result = self.settle(&ending).await;
                answer(done, result);
            }
            Event::Command(Command::Cool { model, version }) => {
                self.ledger.cool(&model, &version);
                self.plan(&model, NEVER, false);
            }
            Event::Loaded(job, result) => {
                let (model, version) = (job.model.clone(), job.version.clone());
                self.finish(job, result);
                self.note_content(&model, &version).await;
            }
            Event::Drained(ticket) => self.ledger.drained(ticket),
            Event::Changed => self.next_scan = self.next_scan.min(Instant::now() + BURST),
            Event::ScanDue => self.scan(None).await.unwrap_or_default(),
            Event::PeriodEnded => self.reweigh(),
        }
    }

    async fn load(&mut self, model: ModelName, done: oneshot::Sender<Result<()>>) {
        match self.scan(Some(&model)).await {
            Ok(()) => self.loads.push((model, done)),
            Err(error) => answer(done, Err(error)),
        }
    }

    /// Reads the roots and plans; `asked` is loaded without waiting until it has settled.
    async fn scan(&mut self, asked: Option<&ModelName>) -> Result<()> {
        let scanner = self.scanner.clone();
        let scan = tokio::task::spawn_blocking(move || scanner.scan(SystemTime::now())).await;
        match scan {
            Ok(scan) => self.take(scan, false, asked),
            Err(error) => {
                tracing::error!(%error, "a scan of the repository ended early");
                self.next_scan = Instant::now() + self.intervals.poll;
                Err(Error::internal(format!("scanning the repository: {error}")))
            }
        }
    }

    fn take(&mut self, scan: Scan, is_first_scan: bool, asked: Option<&ModelName>) -> Result<()> {
        for remark in scan.remarks.difference(&self.remarks) {
            tracing::warn!(%remark, "something in the repository is passed over");
        }
        self.remarks.clone_from(&scan.remarks);
        self.ledger.note(scan, is_first_scan);
        let result = asked.map_or(Ok(()), |asked| self.ledger.ask_to_load(asked));
        for name in self.ledger.names() {
            let settle = match asked == Some(&name) {
                true => Duration::ZERO,
                false => self.intervals.settle,
            };
            self.plan(&name, settle, is_first_scan);
        }
        let wait = match self.ledger.is_settling() {
            true => self.intervals.poll.min(self.intervals.settle),
            false => self.intervals.poll,
        };
        self.next_scan = Instant::now() + wait;
        result
    }

    fn plan(&mut self, name: &ModelName, settle: Duration, is_first_scan: bool) {
        let timing = Timing {
            now: Instant::now().into_std(),
            settle,
            is_first_scan,
        };
        for retired in self.ledger.plan(name, &timing) {
            self.drain(retired);
        }
    }

    fn drain(&mut self, retired: Retired) {
        self.drains.spawn(async move {
            retired.released.wait().await;
            retired.variant.drained().await;
            retired.variant.stop();
            retired.ticket
        });
    }

    fn start_next_load(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.ledger.next_job() else {
            return;
        };
        let (opener, order) = (Arc::clone(&self.opener), job.clone());
        let started = Instant::now();
        let task = tokio::task::spawn_blocking(move || {
            let memory = resident_bytes();
            let variant = opener.open(&order.model, &order.version, &order.content)?;
            let load = Load {
                time: started.elapsed(),
                content: order.content.fingerprint.to_string(),
                // Loads run one at a time, so most of the growth belongs to this one.
                memory_bytes: resident_bytes()
                    .zip(memory)
                    .map(|(now, b)| now.saturating_sub(b)),
            };
            Ok(Served::new(variant, load))
        });
        self.running = Some(Running { job, task });
    }

    fn finish(&mut self, job: Job, result: Result<(Arc<Served>, Released)>) {
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
        if let Some(replaced) = self.ledger.finish(job, result) {
            self.drain(replaced);
        }
        // A version that only waited for this one may go now.
        self.plan(&name, NEVER, false);
    }

    /// Answers the calls whose work is done. Comes after a snapshot was published.
    fn answer(&mut self) {
        for (model, done) in std::mem::take(&mut self.loads) {
            match self.ledger.outcome(&model) {
                Some(result) => answer(done, result),
                None => self.loads.push((model, done)),
            }
        }
        self.answer_version_loads();
        if self.ledger.is_idle() {
            for done in self.rescans.drain(..) {
                answer(done, ());
            }
        }
    }

    fn publish(&self) {
        let snapshot = Arc::new(self.ledger.snapshot());
        let before = self.published.swap(Arc::clone(&snapshot));
        let observe: &dyn Observe = &*self.opener.observe;
        snapshot.report_changes(&before, observe);
    }
}

/// The end of the load that runs; never, when none does.
async fn finished(running: &mut Option<Running>) -> Event {
    let Some(Running { task, .. }) = running.as_mut() else {
        return std::future::pending().await;
    };
    let result = task.await;
    let Some(Running { job, .. }) = running.take() else {
        return std::future::pending().await;
    };
    let result = result.unwrap_or_else(|error| {
        let sentence = "the engine broke down while loading; the log says why";
        Err(Error::new(Code::EngineFailed, sentence).with_diagnostic(error.to_string()))
    });
    Event::Loaded(job, result)
}

/// A caller that went away needs no answer.
fn answer<T>(done: oneshot::Sender<T>, answer: T) {
    drop(done.send(answer));
}
