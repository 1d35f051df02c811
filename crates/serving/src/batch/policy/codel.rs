//! CoDel for requests without deadline: detects a queue that only adds delay.
//!
//! Input: the delay of the requests that run. Rule (after CoDel): when even the smallest delay of
//! an interval is above the target, the queue does not drain, and until the end of the next
//! interval requests that wait for more than twice the target are refused. A burst that drains is
//! left alone. Cold start and recovery: one interval. Rejected: the mean delay, which a burst
//! raises as well.

use std::time::{Duration, Instant};

/// The time over which the smallest delay is taken.
const INTERVAL: Duration = Duration::from_millis(100);

/// The smallest delay of the current interval, and the result of the last one.
#[derive(Debug, Default)]
pub(super) struct CoDel {
    since: Option<Instant>,
    least: Option<Duration>,
    is_standing: bool,
}

impl CoDel {
    /// Records that a request ran after this delay.
    pub(super) fn observe(&mut self, delay: Duration, target: Duration, now: Instant) {
        let least = self.least.map_or(delay, |least| least.min(delay));
        self.least = Some(least);
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= INTERVAL {
            self.is_standing = least > target;
            (self.since, self.least) = (Some(now), None);
        }
    }

    /// Returns the arrival time before which requests are refused.
    pub(super) fn shed_before(&self, target: Duration, now: Instant) -> Option<Instant> {
        self.is_standing
            .then(|| now.checked_sub(target * 2))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    #[test]
    fn only_a_queue_that_stands_for_an_interval_is_shed() {
        let target = Duration::from_millis(5);
        let start = time::Instant::now().into_std();
        let after = |delays: &[u64]| {
            let (mut queue, mut now) = (CoDel::default(), start);
            for &delay in delays {
                queue.observe(Duration::from_millis(delay), target, now);
                now += Duration::from_millis(60);
            }
            queue.shed_before(target, now).map(|time| now - time)
        };
        assert_eq!(after(&[9, 9]), None);
        assert_eq!(after(&[9, 9, 9]), Some(Duration::from_millis(10)));
        assert_eq!(after(&[9, 1, 9]), None, "a burst drains");
        assert_eq!(after(&[9, 9, 9, 1, 1]), None, "recovered");
    }
}
