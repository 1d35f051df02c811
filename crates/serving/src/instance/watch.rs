//! The runs of one version as the watchdog sees them: their time so far, and their limits.
//!
//! Input: the start of each run, the deadlines of its requests, and its end. Rule: a run may go on
//! until the last deadline in its batch, at most for the limit of the version; then the engine is
//! asked to end it. A run that continues for [`GRACE`] after that is stuck, and a version is stuck
//! when all of its instances are: it is not ready, and refuses new and waiting requests. Recovery:
//! the end of a stuck run, whenever it comes, makes its instance usable again. Cold start: none.
//!
//! Decision: a run publishes its start with two atomic writes and its end with one, and reads no
//! clock that is not read anyway, so that runs on the threads of callers are watched as well. The
//! start identifies a run: the watchdog marks the run that it has checked, or none. Only the end of
//! a marked run takes a lock. Rejected: a timer for each run, which allocates and is dropped
//! unused.

mod termination;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use contract::{Code, Error, Event, Observe, Session, SharedModelInfo, Terminate};
use tokio::time;

use super::waker::WatchdogWaker;

pub(crate) use termination::Termination;
use termination::terminated;

/// The time for which a run may continue after the engine was asked to end it: engines check
/// between operators, and one operator of a large network takes seconds on a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// A run is in progress.
const RUNNING: u64 = 1;
/// The engine was asked to end the run.
const TERMINATED: u64 = 1 << 1;
/// The run has not ended since.
const STUCK: u64 = 1 << 2;
/// The bits below the start of a run, which leaves room for 70 years of nanoseconds.
const FLAG_BITS: u32 = 3;

/// The run of one session, if there is one.
#[derive(Debug)]
struct Slot {
    /// The start of the last run, in nanoseconds, above the flags.
    state: AtomicU64,
    /// The time until which it may go on, or take to end once it was asked to, in nanoseconds.
    due: AtomicU64,
    terminator: Option<Arc<dyn Terminate>>,
    /// Held while a run is marked and the engine is asked to end it, so that the end of the run
    /// waits.
    termination: Mutex<()>,
}

impl Slot {
    fn new(session: &dyn Session) -> Self {
        Self {
            state: AtomicU64::new(0),
            due: AtomicU64::new(0),
            terminator: session.terminator(),
            termination: Mutex::new(()),
        }
    }

    /// Marks the run that is in this state, and asks the engine to end it until `due`. Returns
    /// false when it has ended meanwhile.
    fn terminate(&self, state: u64, due: u64) -> bool {
        let _turn = self.lock();
        if !self.mark(state, TERMINATED) {
            return false;
        }
        self.due.store(due, Ordering::Relaxed);
        if let Some(terminator) = &self.terminator {
            terminator.terminate();
        }
        true
    }

    fn mark(&self, state: u64, flag: u64) -> bool {
        let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        let marked = self
            .state
            .compare_exchange(state, state | flag, acquire, relaxed);
        marked.is_ok()
    }

    /// Lets the session run again after a run that was marked.
    fn reset(&self) {
        let _turn = self.lock();
        if let Some(terminator) = &self.terminator {
            terminator.reset();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        let turn = self.termination.lock();
        turn.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs of all instances of a version.
#[derive(Debug)]
pub(crate) struct RunWatch {
    info: SharedModelInfo,
    observe: Arc<dyn Observe>,
    /// The longest time of a run.
    limit: Duration,
    since: Instant,
    slots: Vec<Slot>,
    n_open: AtomicUsize,
    n_stuck: AtomicUsize,
    is_ending: AtomicBool,
    /// Held while the number of stuck instances changes and is reported, so that reports keep their
    /// order.
    telling: Mutex<()>,
    waker: OnceLock<Arc<WatchdogWaker>>,
}

/// The result of checking the runs of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The next time when the watchdog has something to do; `None` while nothing runs.
    pub(crate) next: Option<Instant>,
    /// The start of the last run, or the time when the version was loaded.
    pub(crate) last_start: Option<Instant>,
    /// True if all instances are stuck.
    pub(crate) is_stuck: bool,
}

impl RunWatch {
    /// Creates the watch over the runs of a version, none of which may take longer than `limit`.
    pub(crate) fn new(
        info: SharedModelInfo,
        observe: Arc<dyn Observe>,
        limit: Duration,
        sessions: &[Box<dyn Session>],
        now: Instant,
    ) -> Arc<Self> {
        let slots = sessions.iter().map(|session| Slot::new(session.as_ref()));
        Arc::new(Self {
            info,
            observe,
            limit,
            since: now,
            slots: slots.collect(),
            n_open: AtomicUsize::new(sessions.len()),
            n_stuck: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            telling: Mutex::new(()),
            waker: OnceLock::new(),
        })
    }

    /// Sets the waker that wakes the watchdog when runs begin.
    pub(crate) fn connect(&self, waker: Arc<WatchdogWaker>) {
        // A version has one watchdog for all its life.
        let _first = self.waker.get_or_init(|| waker);
    }

    /// Returns whether no instance is left that could run anything.
    pub(crate) fn is_stuck(&self) -> bool {
        let n_stuck = self.n_stuck.load(Ordering::Relaxed);
        n_stuck > 0 && n_stuck >= self.n_open.load(Ordering::Relaxed)
    }

    /// Returns the refusal of a stuck version.
    pub(crate) fn refusal(&self) -> Error {
        let (model, version) = (&self.info.model, &self.info.version);
        let message = format!(
            "version `{version}` of model `{model}` is not ready: {}",
            self.reason()
        );
        Error::new(Code::ModelNotReady, message).with_retry_after(GRACE)
    }

    /// Returns the reason why a stuck version is not ready.
    pub(crate) fn reason(&self) -> String {
        let n = self.n_stuck.load(Ordering::Relaxed);
        format!("all instances ({n}) are stuck in runs that do not end")
    }

    /// Ends runs that took too long, and records those that continue nevertheless.
    pub(crate) fn look(&self, now: Instant) -> Sight {
        let mut sight = Sight::default();
        for slot in &self.slots {
            let state = slot.state.load(Ordering::SeqCst);
            let start = state >> FLAG_BITS;
            sight.last_start = sight.last_start.max(Some(self.at(start)));
            if state & RUNNING > 0 {
                let due = self.at(slot.due.load(Ordering::Relaxed));
                let next = self.check(slot, state, due, now);
                sight.next = earliest(sight.next, next);
            }
        }
        sight.is_stuck = self.is_stuck();
        sight
    }

    /// Asks the engine to end every run, because the server is shutting down.
    pub(crate) fn end_all(&self) {
        let now = time::Instant::now().into_std();
        self.is_ending.store(true, Ordering::Relaxed);
        for slot in &self.slots {
            let state = slot.state.load(Ordering::SeqCst);
            let is_new = state & (RUNNING | TERMINATED) == RUNNING;
            if is_new && slot.terminate(state, u64::MAX) {
                self.tell_terminated(Termination::Shutdown, state, now);
            }
        }
    }

    /// Handles a run that may go on until `due`. Returns when to check again.
    fn check(&self, slot: &Slot, state: u64, due: Instant, now: Instant) -> Option<Instant> {
        if now < due {
            return Some(due);
        }
        let next = now + GRACE;
        if state & TERMINATED == 0 {
            if slot.terminate(state, self.nanos(next)) {
                self.tell_terminated(self.termination(state, due), state, now);
            }
        } else if state & STUCK == 0 {
            self.tell_stuck(|n_stuck| n_stuck + usize::from(slot.mark(state, STUCK)));
        }
        Some(next)
    }

    fn termination(&self, state: u64, due: Instant) -> Termination {
        let limit = self.at(state >> FLAG_BITS) + self.limit;
        match due < limit {
            _ if self.is_ending.load(Ordering::Relaxed) => Termination::Shutdown,
            true => Termination::Deadline,
            false => Termination::Limit,
        }
    }

    fn tell_terminated(&self, termination: Termination, state: u64, now: Instant) {
        let (model, version) = (&self.info.model, &self.info.version);
        let elapsed = now.saturating_duration_since(self.at(state >> FLAG_BITS));
        let reason = termination.as_str();
        match termination {
            Termination::Deadline => {
                tracing::info!(%model, %version, reason, ?elapsed, "terminated run");
            }
            Termination::Limit | Termination::Shutdown => {
                tracing::warn!(%model, %version, reason, ?elapsed, "terminated run");
            }
        }
        self.observe.observe(&Event::RunTerminated {
            model,
            version,
            reason,
        });
    }

    /// Changes the number of stuck instances, and reports it.
    fn tell_stuck(&self, change: impl FnOnce(usize) -> usize) {
        let _turn = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.n_stuck.load(Ordering::Relaxed);
        let n_stuck = change(before);
        if n_stuck == before {
            return;
        }
        self.n_stuck.store(n_stuck, Ordering::Relaxed);
        let (model, version) = (&self.info.model, &self.info.version);
        let n_open = self.n_open.load(Ordering::Relaxed);
        match n_stuck > before {
            true => {
                tracing::error!(%model, %version, n_stuck, n_open, "instance is stuck in a run")
            }
            false => tracing::warn!(%model, %version, n_stuck, n_open, "stuck run ended"),
        }
        self.observe.observe(&Event::InstancesStuck {
            model,
            version,
            n_stuck,
        });
    }

    fn nanos(&self, time: Instant) -> u64 {
        let nanos = time.saturating_duration_since(self.since).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    fn at(&self, nanos: u64) -> Instant {
        let time = self.since.checked_add(Duration::from_nanos(nanos));
        time.unwrap_or(self.since)
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// A session whose runs are watched.
#[derive(Debug)]
pub(crate) struct WatchedSession {
    session: Box<dyn Session>,
    index: usize,
    watch: Arc<RunWatch>,
    /// The time of the last run, where it failed because it was terminated.
    terminated_after: Option<Duration>,
}

impl WatchedSession {
    /// Wraps all sessions of a version, in the order of the slots of `watch`.
    pub(crate) fn all(watch: &Arc<RunWatch>, sessions: Vec<Box<dyn Session>>) -> Vec<Self> {
        let watched = |(index, session)| Self {
            session,
            index,
            watch: Arc::clone(watch),
            terminated_after: None,
        };
        sessions.into_iter().enumerate().map(watched).collect()
    }

    /// Runs `run` on the session as one that began at `start` and whose requests need no answer
    /// after `deadline`. `run` must return an error instead of panicking.
    pub(crate) fn run<T>(
        &mut self,
        start: Instant,
        deadline: Option<Instant>,
        run: impl FnOnce(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.terminated_after = None;
        let Some(slot) = self.watch.slots.get(self.index) else {
            return run(self.session.as_mut());
        };
        let watch = &*self.watch;
        let limit = start + watch.limit;
        let due = deadline.map_or(limit, |deadline| deadline.min(limit));
        let idle = watch.nanos(start) << FLAG_BITS;
        slot.due.store(watch.nanos(due), Ordering::Relaxed);
        // Ordered with the sleep of the watchdog: it sees this run, or this sees it asleep.
        slot.state.swap(idle | RUNNING, Ordering::SeqCst);
        if let Some(waker) = watch.waker.get() {
            waker.run_begins();
        }
        let result = run(self.session.as_mut());
        let ended = slot.state.swap(idle, Ordering::AcqRel);
        if ended & TERMINATED == 0 {
            return result;
        }
        slot.reset();
        if ended & STUCK > 0 {
            watch.tell_stuck(|n_stuck| n_stuck.saturating_sub(1));
        }
        result.map_err(|error| {
            let now = time::Instant::now().into_std();
            self.terminated_after = Some(now.saturating_duration_since(start));
            let termination = watch.termination(ended, due);
            terminated(termination, watch.limit, &error)
        })
    }

    /// Returns the time of the last run, where it failed because it was terminated.
    pub(crate) fn terminated_after(&self) -> Option<Duration> {
        self.terminated_after
    }
}

impl Drop for WatchedSession {
    fn drop(&mut self) {
        self.watch.n_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
