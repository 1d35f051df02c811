//! Coalescing: decides whether a caller should let other requests arrive before it runs its own.
//!
//! Input: the arrival of each request. Rule: when requests follow each other within the total time
//! of one request, other connections of the same thread are likely to be ready as well. Then a
//! caller yields the thread once, which costs nothing while there is other work, and the first
//! caller that continues runs everything that has been queued. Cold start and low load: no other
//! request is near, and a request runs at once. Recovery: only the last arrival counts. Rejected:
//! always yielding, which costs a lone request a turn of the event loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The approximate time of a small request from its first byte to its reply.
const MAX_GAP: Duration = Duration::from_micros(50);

/// The arrival of the last request.
#[derive(Debug)]
pub(crate) struct ArrivalGap {
    since: Instant,
    /// Nanoseconds after `since`, plus one; 0 before the first.
    last: AtomicU64,
}

impl ArrivalGap {
    /// Creates the state before the first arrival.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            last: AtomicU64::new(0),
        }
    }

    /// Records the arrival of a request. Returns whether another one arrived just before.
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
