//! The watchdog: one thread that checks the runs of every version.
//!
//! Rule: while anything runs, or ran within a second, it checks every 20 ms; then it sleeps until a
//! run begins. So it ends a run at most 20 ms late, an idle server has no timer, and a busy one
//! makes no system calls to wake it. Decision: a thread and not a task, because a run that does not
//! end may block every thread that runs tasks.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time;

use super::executor::Executor;
use super::waker::WatchdogWaker;
use super::watch::Sight;

/// The largest delay with which a run is ended: short beside any deadline that is worth setting.
const TICK: Duration = Duration::from_millis(20);

/// The idle time after which the thread sleeps, so that callers that come one by one do not have to
/// wake it each time.
const IDLE: Duration = Duration::from_secs(1);

/// Watchdog over the runs of versions, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    watched: Arc<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    waker: Arc<WatchdogWaker>,
    versions: Mutex<Vec<Weak<Executor>>>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// The error of the operating system when it cannot start a thread.
    pub(crate) fn start() -> io::Result<Self> {
        let watched = Arc::<Watched>::default();
        let sees = Arc::clone(&watched);
        let thread = thread::Builder::new().name("watchdog".to_owned());
        let thread = thread.spawn(move || sees.run())?;
        let _first = watched.waker.thread.get_or_init(|| thread.thread().clone());
        Ok(Self { watched })
    }

    /// Watches the runs of a version until it is unloaded.
    pub(crate) fn watch(&self, version: &Arc<Executor>) {
        self.watched.lock().push(Arc::downgrade(version));
        version.watch.connect(Arc::clone(&self.watched.waker));
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watched.waker.close();
    }
}

impl Watched {
    fn run(&self) {
        while !self.waker.is_closed.load(Ordering::SeqCst) {
            let now = time::Instant::now().into_std();
            let sight = self.look(now);
            match pause(&sight, now) {
                Some(pause) => thread::park_timeout(pause),
                None => self.sleep(now),
            }
        }
    }

    /// Sleeps until a run begins, unless one has just begun.
    fn sleep(&self, now: Instant) {
        self.waker.is_asleep.store(true, Ordering::SeqCst);
        let is_closed = self.waker.is_closed.load(Ordering::SeqCst);
        if self.look(now).next.is_none() && !is_closed {
            thread::park();
        }
        self.waker.is_asleep.store(false, Ordering::SeqCst);
    }

    fn look(&self, now: Instant) -> Sight {
        let mut all = Sight::default();
        let versions: Vec<_> = {
            let mut versions = self.lock();
            versions.retain(|version| version.strong_count() > 0);
            versions.iter().filter_map(Weak::upgrade).collect()
        };
        for version in versions {
            let sight = version.look_after_runs(now);
            all.next = all.next.into_iter().chain(sight.next).min();
            all.last_start = all.last_start.max(sight.last_start);
        }
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Executor>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time until the next check; `None` until a run begins.
fn pause(sight: &Sight, now: Instant) -> Option<Duration> {
    let is_recent = |start: Instant| now.saturating_duration_since(start) < IDLE;
    match sight.next {
        Some(next) => Some(next.saturating_duration_since(now).min(TICK)),
        None => sight.last_start.is_some_and(is_recent).then_some(TICK),
    }
}
