//! Whether a caller that runs its request itself would find company if it let others go first.
//!
//! Input: when each request arrives. Rule: requests that follow each other within the time that one
//! takes in all stand in a crowd: other connections of the same thread are ready as well. Then a
//! caller lets the thread go round once, which costs nothing while there is other work, and whoever
//! comes first afterwards runs everything that has gathered. Cold start and low load: nobody is
//! near, and a request runs at once. Recovery: only the last arrival counts. Rejected: letting
//! others go first always, which costs a lone request a turn of the event loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// About what a small request takes from its first byte to its reply.
const MAX_GAP: Duration = Duration::from_micros(50);

/// When the last request arrived.
#[derive(Debug)]
pub(crate) struct ArrivalGap {
    since: Instant,
    /// Nanoseconds after `since`, plus one; 0 before the first.
    last: AtomicU64,
}

impl ArrivalGap {
    /// Nobody has arrived before `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            last: AtomicU64::new(0),
        }
    }

    /// A request arrives. Gives whether another one did just before.
    pub(crate) fn observe(&self, now: Instant) -> bool {
        let time = now.saturating_duration_since(self.since).as_nanos();
        let time = u64::try_from(time).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.last.swap(time, Ordering::Relaxed);
        last > 0 && u128::from(time.saturating_sub(last)) < MAX_GAP.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_close_behind_another_is_near() {
        let start = tokio::time::Instant::now().into_std();
        let arrival_gap = ArrivalGap::new(start);
        let arrives = |micros| arrival_gap.observe(start + Duration::from_micros(micros));
        let seen = [0, 10, 59, 109, 500, 549].map(arrives);
        assert_eq!(seen, [false, true, true, false, false, true]);
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_is_near() {
        let start = tokio::time::Instant::now().into_std();
        let arrival_gap = ArrivalGap::new(start);
        arrival_gap.observe(start + Duration::from_micros(20));
        assert!(arrival_gap.observe(start + Duration::from_micros(10)));
    }
}
