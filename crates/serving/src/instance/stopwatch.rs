//! Times the parts of a run, one after the other.

use std::time::{Duration, Instant};

use tokio::time;

/// Gives the time since it was last asked.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    at: Instant,
}

impl Stopwatch {
    /// A watch that starts now.
    pub(crate) fn start() -> Self {
        Self {
            at: time::Instant::now().into_std(),
        }
    }

    /// When it was last asked.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// The time since then.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = time::Instant::now().into_std();
        let lap = now.saturating_duration_since(self.at);
        self.at = now;
        lap
    }
}
