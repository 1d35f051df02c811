//! Times the parts of a run, one after the other.

use std::time::{Duration, Instant};

use tokio::time;

/// Stopwatch that returns the time since the last reading.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    at: Instant,
}

impl Stopwatch {
    /// Starts a stopwatch now.
    pub(crate) fn start() -> Self {
        Self {
            at: time::Instant::now().into_std(),
        }
    }

    /// Returns the time of the last reading.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Returns the time since the last reading, and takes a new one.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = time::Instant::now().into_std();
        let lap = now.saturating_duration_since(self.at);
        self.at = now;
        lap
    }
}
