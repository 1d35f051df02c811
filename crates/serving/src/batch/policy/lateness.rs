//! Correction of predictions by the share of late answers.
//!
//! Input: how many requests with a deadline were answered, and how many of those too late. Rule:
//! after each second in which more than one in two hundred was late, predicted times grow by 5 %;
//! after each other second they return towards the measured ones by 1 %. The largest batch that was
//! late does not count: one is an accident, and may be a hundredth of a second's requests. Cold
//! start: no correction. Recovery: at most twice the measured time, which 70 seconds without late
//! answers take back. Rejected: counting requests dropped from the queue as late, which jitter
//! alone causes.

use std::time::{Duration, Instant};

use crate::batch::curve::float;

/// The length of a counting window.
const WINDOW: Duration = Duration::from_secs(1);

/// The largest acceptable share of late requests.
const LATE_SHARE: f64 = 0.005;

const INFLATION: f64 = 1.05;

const DEFLATION: f64 = 0.99;

const MAX_FACTOR: f64 = 2.0;

/// The factor for predicted times, and the counts of the current second.
#[derive(Debug)]
pub(super) struct Lateness {
    factor: f64,
    since: Option<Instant>,
    n_due: f64,
    n_late: f64,
    /// The most requests that were late in one batch.
    n_late_at_once: f64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            factor: 1.0,
            since: None,
            n_due: 0.0,
            n_late: 0.0,
            n_late_at_once: 0.0,
        }
    }
}

impl Lateness {
    /// Returns the factor for predicted times.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// Records that `n_due` requests with a deadline were answered, `n_late` of them late.
    pub(super) fn observe(&mut self, n_due: usize, n_late: usize, now: Instant) {
        let n_late = float(n_late);
        self.n_due += float(n_due);
        self.n_late += n_late;
        self.n_late_at_once = self.n_late_at_once.max(n_late);
        let since = *self.since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds < WINDOW.as_secs_f64() {
            return;
        }
        let n_late = self.n_late - self.n_late_at_once;
        let factor = match n_late > self.n_due * LATE_SHARE {
            true => self.factor * INFLATION,
            false => self.factor * DEFLATION.powf(seconds),
        };
        self.factor = factor.clamp(1.0, MAX_FACTOR);
        *self = Self {
            factor: self.factor,
            since: Some(now),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    #[test]
    fn late_seconds_inflate_and_calm_ones_deflate() {
        let mut now = time::Instant::now().into_std();
        let mut lateness = Lateness::default();
        lateness.observe(0, 0, now);
        let mut second = |n_late| {
            // A batch by accident, and the others one by one.
            lateness.observe(30, 30, now);
            for _ in 0..n_late {
                lateness.observe(1, 1, now);
            }
            now += WINDOW;
            lateness.observe(970 - n_late, 0, now);
            lateness.factor()
        };
        assert!((second(5) - 1.0).abs() < 1e-9, "one in two hundred is well");
        assert!((second(6) - 1.05).abs() < 1e-9);
        assert!((second(0) - 1.0395).abs() < 1e-9);
        for _ in 0..30 {
            second(900);
        }
        assert!((second(900) - MAX_FACTOR).abs() < 1e-9);
        for _ in 0..100 {
            second(0);
        }
        assert!((second(0) - 1.0).abs() < 1e-9);
    }
}
