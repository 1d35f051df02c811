//! The waking of the watchdog when a run begins.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

/// Wakes the thread of the watchdog, which sleeps while nothing runs.
#[derive(Debug, Default)]
pub(crate) struct WatchdogWaker {
    pub(super) is_asleep: AtomicBool,
    pub(super) is_closed: AtomicBool,
    pub(super) thread: OnceLock<Thread>,
}

impl WatchdogWaker {
    /// Wakes the watchdog after a run was published.
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

    /// Ends the watchdog.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
