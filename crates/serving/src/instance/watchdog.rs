//! The watchdog: one thread that looks after the runs of every version.
//!
//! Rule: while anything runs, or ran within a second, it looks every 20 ms; then it sleeps until a
//! run begins. So it ends a run at most 20 ms late, an idle server has no timer, and a busy one never
//! calls the system to wake it. Decision: a thread and no task, because a run that does not end may
//! hold every thread that runs tasks.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::time;

use super::executor::Executor;
use super::watch::Sight;

/// How late a run may be ended: short beside any deadline that is worth setting.
const TICK: Duration = Duration::from_millis(20);

/// How long nothing has run when the thread goes to sleep: callers that come one by one do not have
/// to wake it each time.
const IDLE: Duration = Duration::from_secs(1);

/// Wakes the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Alarm {
    /// A run begins, which has been published.
    pub(crate) fn run_begins(&self) {
        if self.is_asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self
            .thread
            .get()
            .filter(|_| self.is_asleep.swap(false, Ordering::SeqCst))
        {
            thread.unpark();
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Looks after the runs of versions until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    watched: Arc<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    alarm: Arc<Alarm>,
    versions: Mutex<Vec<Weak<Executor>>>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it has no thread to give.
    pub(crate) fn start() -> io::Result<Self> {
        let watched = Arc::<Watched>::default();
        let sees = Arc::clone(&watched);
        let thread = thread::Builder::new().name("watchdog".to_owned());
        let thread = thread.spawn(move || sees.run())?;
        let _first = watched.alarm.thread.get_or_init(|| thread.thread().clone());
        Ok(Self { watched })
    }

    /// Looks after the runs of a version until it is gone.
    pub(crate) fn watch(&self, version: &Arc<Executor>) {
        self.watched.lock().push(Arc::downgrade(version));
        version.watch.connect(Arc::clone(&self.watched.alarm));
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watched.alarm.close();
    }
}

impl Watched {
    fn run(&self) {
        while !self.alarm.is_closed.load(Ordering::SeqCst) {
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
        self.alarm.is_asleep.store(true, Ordering::SeqCst);
        let is_closed = self.alarm.is_closed.load(Ordering::SeqCst);
        if self.look(now).next.is_none() && !is_closed {
            thread::park();
        }
        self.alarm.is_asleep.store(false, Ordering::SeqCst);
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

/// How long to wait until the next look; `None` until a run begins.
fn pause(sight: &Sight, now: Instant) -> Option<Duration> {
    let is_recent = |start: Instant| now.saturating_duration_since(start) < IDLE;
    match sight.next {
        Some(next) => Some(next.saturating_duration_since(now).min(TICK)),
        None => sight.last_start.is_some_and(is_recent).then_some(TICK),
    }
}
