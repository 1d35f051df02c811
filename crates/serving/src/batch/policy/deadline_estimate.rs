//! Estimate of the time that callers allow: low enough for nine requests in ten.
//!
//! Rule: the estimate falls by 4.5 % when a request allows less, and rises by half a percent when
//! it allows more, which balances at a tenth. So batches stay short enough for callers with
//! deadlines when the model sets no time limit, and one caller with a short deadline does not
//! shorten them for all. Cold start: none. Recovery: the estimate expires after ten seconds without
//! deadlines.

use std::time::{Duration, Instant};

const RISE: f64 = 1.005;
const FALL: f64 = 0.955;

/// The time for which the last deadline counts.
const MEMORY: Duration = Duration::from_secs(10);

/// The usual time to the deadline of requests that have one, and the arrival of the last of them.
#[derive(Debug, Default)]
pub(super) struct DeadlineEstimate(Option<(Duration, Instant)>);

impl DeadlineEstimate {
    /// Records the time that a request allows.
    pub(super) fn observe(&mut self, time: Duration, now: Instant) {
        let estimate = self
            .get(now)
            .map_or(time, |estimate| match time < estimate {
                true => estimate.mul_f64(FALL),
                false => estimate.mul_f64(RISE).min(time),
            });
        self.0 = Some((estimate, now));
    }

    /// Returns the time that nine requests in ten allow; `None` when none had a deadline lately.
    pub(super) fn get(&self, now: Instant) -> Option<Duration> {
        let (estimate, seen) = self.0?;
        (now.saturating_duration_since(seen) < MEMORY).then_some(estimate)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    #[test]
    fn a_tenth_of_the_requests_may_have_less() {
        let now = time::Instant::now().into_std();
        let mut estimate = DeadlineEstimate::default();
        for round in 0_u32..20_000 {
            // 10 to 109 ms, in an order without pattern.
            let time = Duration::from_millis(u64::from(10 + round * 37 % 100));
            estimate.observe(time, now);
        }
        let millis = estimate.get(now).unwrap().as_millis();
        assert!((15..=25).contains(&millis), "{millis}");
    }

    #[test]
    fn equal_times_are_estimated_exactly_until_they_expire() {
        let now = time::Instant::now().into_std();
        let mut estimate = DeadlineEstimate::default();
        for _ in 0..100 {
            estimate.observe(Duration::from_millis(10), now);
        }
        assert_eq!(estimate.get(now), Some(Duration::from_millis(10)));
        assert_eq!(estimate.get(now + MEMORY), None);
    }
}
