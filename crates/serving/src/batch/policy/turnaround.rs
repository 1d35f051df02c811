//! Think times: the mean time from a reply to the next request of a caller, and the callers due.
//!
//! Input: the moments of replies and of arrivals. Rule: an arrival is matched with the oldest reply
//! that has no match yet. The mean does not depend on which caller really came back, because it
//! follows from the sums of both times alone. A reply without a match within the horizon counts as
//! a caller that went away; when most do, no batch waits for callers. Cold start: no mean, so no
//! caller is due. Recovery: each arrival is a hundredth of the mean. Rejected: the connection of
//! each caller, which multiplexed protocols and proxies hide.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The share of an arrival in the mean, once there are enough of them.
const WEIGHT: f64 = 0.01;

/// The share of a reply in the share of callers that come back.
const RETURN_WEIGHT: f64 = 0.2;

/// The mean think times for which a caller is due: of exponential ones 2 % take longer.
const DUE_MEANS: f64 = 4.0;

/// The share of callers that must come back for a batch to wait for any.
const MIN_RETURN_SHARE: f64 = 0.5;

/// The most batches whose replies are kept; a horizon holds fewer unless runs are shorter than
/// delays.
const MAX_BATCHES: usize = 256;

/// Replies whose callers have not come back, and the mean of those that did.
#[derive(Debug, Default)]
pub(super) struct Turnaround {
    /// Times and numbers of replies, the oldest first.
    replies: VecDeque<(Instant, usize)>,
    /// Mean think time in seconds.
    mean: f64,
    n_seen: u32,
    return_share: f64,
    /// The age at which replies expire; zero turns everything off.
    horizon: Duration,
}

impl Turnaround {
    /// Sets the longest think time that matters.
    pub(super) fn set_horizon(&mut self, horizon: Duration) {
        self.horizon = horizon;
        if horizon.is_zero() {
            self.replies.clear();
        }
    }

    /// Records that `n_replies` callers were answered.
    pub(super) fn replied(&mut self, n_replies: usize, now: Instant) {
        if self.horizon.is_zero() || n_replies == 0 {
            return;
        }
        self.expire(now);
        if self.replies.len() >= MAX_BATCHES {
            self.replies.pop_front();
        }
        self.replies.push_back((now, n_replies));
    }

    /// Records that a request arrived.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.expire(now);
        let Some((replied, n_left)) = self.replies.front_mut() else {
            return;
        };
        let seconds = now.saturating_duration_since(*replied).as_secs_f64();
        *n_left -= 1;
        if *n_left == 0 {
            self.replies.pop_front();
        }
        self.n_seen = self.n_seen.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f64::from(self.n_seen));
        self.mean += weight * (seconds - self.mean);
        self.return_share += RETURN_WEIGHT * (1.0 - self.return_share);
    }

    /// Returns the mean think time; `None` when callers do not come back.
    pub(super) fn mean(&self) -> Option<Duration> {
        let is_closed_loop = self.return_share >= MIN_RETURN_SHARE;
        is_closed_loop.then(|| Duration::from_secs_f64(self.mean))
    }

    /// Returns the number of callers that should come back soon.
    pub(super) fn n_due(&self, now: Instant) -> usize {
        let due_time = Duration::from_secs_f64(self.mean * DUE_MEANS);
        let is_due =
            |(replied, _): &&(Instant, usize)| now.saturating_duration_since(*replied) < due_time;
        let due = self.replies.iter().rev().take_while(is_due);
        due.map(|(_, n_replies)| n_replies).sum()
    }

    fn expire(&mut self, now: Instant) {
        let horizon = self
            .horizon
            .max(Duration::from_secs_f64(self.mean * DUE_MEANS));
        while let Some(&(replied, n_left)) = self.replies.front()
            && now.saturating_duration_since(replied) > horizon
        {
            self.replies.pop_front();
            for _ in 0..n_left {
                self.return_share -= RETURN_WEIGHT * self.return_share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Runs of 4 replies, each caller back after 2, 4, 6 or 8 ms.
    fn closed_loop(start: Instant) -> (Turnaround, Instant) {
        let mut turnaround = Turnaround::default();
        turnaround.set_horizon(millis(40));
        let mut now = start;
        for _ in 0..20 {
            turnaround.replied(4, now);
            for n in 1..=4 {
                turnaround.arrived(now + millis(2 * n));
            }
            now += millis(20);
        }
        (turnaround, now)
    }

    #[test]
    fn the_mean_is_learned_and_those_who_are_out_are_due() {
        let (mut turnaround, now) = closed_loop(time::Instant::now().into_std());
        let mean = turnaround.mean().unwrap();
        assert!(mean.abs_diff(millis(5)) < millis(1), "{mean:?}");
        assert_eq!(turnaround.n_due(now), 0);
        turnaround.replied(4, now);
        turnaround.arrived(now + millis(1));
        assert_eq!(turnaround.n_due(now + millis(1)), 3);
        assert_eq!(turnaround.n_due(now + millis(30)), 0, "too late to be due");
    }

    #[test]
    fn callers_that_do_not_come_back_are_not_waited_for() {
        let (mut turnaround, mut now) = closed_loop(time::Instant::now().into_std());
        for _ in 0..10 {
            turnaround.replied(4, now);
            now += millis(1000);
            turnaround.arrived(now);
        }
        assert_eq!(turnaround.mean(), None);
    }

    #[test]
    fn nothing_is_kept_while_it_is_off() {
        let now = time::Instant::now().into_std();
        let mut turnaround = Turnaround::default();
        turnaround.replied(1000, now);
        turnaround.arrived(now);
        assert_eq!((turnaround.mean(), turnaround.n_due(now)), (None, 0));
    }
}
