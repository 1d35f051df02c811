//! Detects runs on the thread of a caller that took far longer than such a run may.
//!
//! Rule: a run is an overrun when the thread itself computed for ten times the limit of such runs,
//! or when a second passed, whatever the thread did. Wall-clock time alone would mistake a
//! preempted thread for a slow run: under the CPU quota of a container that is 100 ms at a time.
//! Decision: reading the CPU time is a system call, so a thread reads it once a millisecond at
//! most, and subtracts the wall-clock time since that reading: the rest was computed in the run.
//! Cold start: none. Recovery: none, the version stays off these threads until it is loaded again.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Ten times the longest run that such a thread is given: far beyond the error of an estimate.
const MAX_COMPUTED: Duration = Duration::from_millis(2);

/// Longer than any scheduler preempts a thread: such a run has waited for something itself.
const MAX_ELAPSED: Duration = Duration::from_secs(1);

/// The age at which a reading is taken again, and so the largest error of the subtraction.
const MAX_READING_AGE: Duration = Duration::from_millis(1);

/// A wall-clock time and the CPU time of the thread at that moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    computed: Duration,
}

thread_local! {
    static LAST: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// A run on this thread, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InlineRun {
    started: Instant,
    reading: Reading,
}

impl InlineRun {
    /// Starts a run now.
    pub(crate) fn start(now: Instant) -> Self {
        let last = LAST.get();
        let age = |reading: &Reading| now.saturating_duration_since(reading.at);
        let reading = last.filter(|reading| age(reading) < MAX_READING_AGE);
        let reading = reading.unwrap_or_else(|| {
            let reading = Reading {
                at: now,
                computed: computed(),
            };
            LAST.set(Some(reading));
            reading
        });
        Self {
            started: now,
            reading,
        }
    }

    /// Returns the time of the run that ends now, where it was too long.
    pub(crate) fn overrun(&self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.started);
        if elapsed < MAX_COMPUTED {
            return None;
        }
        let since_reading = self.started.saturating_duration_since(self.reading.at);
        let computed = computed().saturating_sub(self.reading.computed);
        is_overrun(elapsed, computed.saturating_sub(since_reading)).then_some(elapsed)
    }
}

fn is_overrun(elapsed: Duration, computed: Duration) -> bool {
    computed >= MAX_COMPUTED || elapsed >= MAX_ELAPSED
}

/// Returns the CPU time of this thread.
fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The first overrun of a version.
#[derive(Debug, Default)]
pub(crate) struct FirstOverrun {
    /// Nanoseconds; 0 while there was none.
    elapsed: AtomicU64,
}

impl FirstOverrun {
    /// Records an overrun. Returns whether it is the first.
    pub(crate) fn record(&self, elapsed: Duration) -> bool {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
        let noted = self
            .elapsed
            .compare_exchange(0, nanos, Ordering::Relaxed, Ordering::Relaxed);
        noted.is_ok()
    }

    /// Returns its time, if there was one.
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.elapsed.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_thread_that_had_to_wait_has_not_overrun() {
        let cases = [
            (millis(100), Duration::ZERO, false),
            (millis(100), Duration::from_micros(1999), false),
            (millis(2), millis(2), true),
            (millis(999), millis(1), false),
            (millis(1000), millis(1), true),
        ];
        for (elapsed, computed, expected) in cases {
            assert_eq!(
                is_overrun(elapsed, computed),
                expected,
                "{elapsed:?} {computed:?}"
            );
        }
    }

    #[test]
    fn a_run_that_computes_for_long_is_noticed() {
        let now = || time::Instant::now().into_std();
        let until = |done: &dyn Fn() -> bool| while !done() {};
        let run = InlineRun::start(now());
        assert_eq!(run.overrun(now()), None);
        let begun = computed();
        until(&|| computed().saturating_sub(begun) > millis(10));
        assert!(run.overrun(now()).is_some());
        let next = InlineRun::start(now());
        assert_eq!(next.overrun(now()), None, "earlier runs do not count");
    }

    #[test]
    fn only_the_first_overrun_is_reported() {
        let first = FirstOverrun::default();
        assert_eq!(first.get(), None);
        assert!(first.record(millis(5)));
        assert!(!first.record(millis(9)));
        assert_eq!(first.get(), Some(millis(5)));
    }
}
