//! The time budget of shadow requests.
//!
//! Inputs: the share of one second of work per second and worker that shadow requests may take, and
//! the time that each one took. Rule: a token bucket. It fills at the rate of the share, holds one
//! second of it, and a shadow request may run while the bucket is not empty; its time is charged
//! afterwards, because it is not known before. Cold start: full. Recovery: the debt of a request
//! that took long is paid off at the rate of the share.

use std::time::Duration;

/// Capacity of the bucket, as the time in which it fills.
const DEPTH: Duration = Duration::from_secs(1);

/// Budget of the time that shadow requests may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Seconds of work per second.
    rate: f64,
    /// Seconds of work; negative while there is a debt.
    balance: f64,
    last_refill: Duration,
}

impl Budget {
    /// Creates a full budget of `share` of the time of each of `n_workers`, at the time `now` since
    /// any origin.
    pub(super) fn new(share: f64, n_workers: usize, now: Duration) -> Self {
        let rate = share * n_workers as f64;
        Self {
            rate,
            balance: rate * DEPTH.as_secs_f64(),
            last_refill: now,
        }
    }

    /// Returns whether a shadow request may run now.
    pub(super) fn allows(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.last_refill).as_secs_f64();
        self.last_refill = now;
        let most = self.rate * DEPTH.as_secs_f64();
        self.balance = (self.balance + elapsed * self.rate).min(most);
        self.balance > 0.0
    }

    /// Charges the time of a shadow request.
    pub(super) fn charge(&mut self, work: Duration) {
        self.balance -= work.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_never_take_more_than_their_share() {
        for (share, n_workers, work) in [(0.2, 1, 7), (0.5, 4, 100), (0.2, 2, 3000)] {
            let work = Duration::from_millis(work);
            let mut budget = Budget::new(share, n_workers, Duration::ZERO);
            let (mut now, mut busy) = (Duration::ZERO, Duration::ZERO);
            while now < Duration::from_secs(100) {
                if budget.allows(now) {
                    budget.charge(work);
                    busy += work;
                }
                now += Duration::from_millis(1);
            }
            let allowed = share * n_workers as f64 * 101.0 + work.as_secs_f64();
            let used = busy.as_secs_f64();
            assert!(used <= allowed, "{share} {n_workers}: {used} of {allowed}");
            assert!(used >= 0.9 * (allowed - 2.0 * work.as_secs_f64()), "{used}");
        }
    }

    #[test]
    fn without_a_share_nothing_runs() {
        let mut budget = Budget::new(0.0, 4, Duration::ZERO);
        assert!(!budget.allows(Duration::from_secs(3600)));
    }
}
