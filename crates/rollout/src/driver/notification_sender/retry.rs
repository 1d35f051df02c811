//! The backoff between attempts to deliver a notification.
//!
//! Input: the number of failed attempts, and the time since the first. Rule: pauses double from a
//! second to a minute, while the next attempt is within ten minutes. Cold start: the first attempt
//! is immediate. Recovery: a new process starts over. Rejected: attempts for a day; by then the
//! rollback is long known, and a receiver that fails for so long is better seen in the metrics.

use std::time::Duration;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Longest pause: a receiver that works again is found within a minute.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Time within which attempts are made; a restart of a receiver takes less.
const RETRY_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Returns the pause before the next attempt after `n_attempts` failed ones; `None` when the
/// notification is given up.
pub(super) fn backoff(n_attempts: u32, since_first: Duration) -> Option<Duration> {
    let doublings = n_attempts.saturating_sub(1).min(u32::BITS - 1);
    let backoff = FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(MAX_BACKOFF);
    (since_first.saturating_add(backoff) <= RETRY_WINDOW).then_some(backoff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the seconds at which attempts start when each takes `seconds`.
    fn attempts(seconds: u64) -> Vec<u64> {
        let takes = Duration::from_secs(seconds);
        let (mut now, mut tried) = (Duration::ZERO, vec![0]);
        for n_attempts in 1.. {
            now += takes;
            match backoff(n_attempts, now) {
                Some(backoff) => now += backoff,
                None => return tried,
            }
            tried.push(now.as_secs());
        }
        unreachable!("it is given up")
    }

    #[test]
    fn backoffs_double_up_to_a_minute_for_ten_minutes() {
        let doubling = [0, 1, 3, 7, 15, 31, 63];
        let each_minute = (2..=10).map(|minute| minute * 60 + 3);
        let expected: Vec<_> = doubling.into_iter().chain(each_minute).collect();
        assert_eq!(attempts(0), expected[..expected.len() - 1]);
        let silent = attempts(10);
        assert_eq!(silent[..5], [0, 11, 23, 37, 55]);
        assert!(silent.last() <= Some(&600), "{silent:?}");
    }

    proptest! {
        #[test]
        fn retries_end_however_long_an_attempt_takes(seconds in 0_u64..1000) {
            let tried = attempts(seconds);
            prop_assert!(tried.len() <= 17 && tried.last() <= Some(&600), "{:?}", tried);
        }

        #[test]
        fn every_backoff_is_within_its_bounds(n_attempts in any::<u32>(), since in any::<u64>()) {
            let backoff = backoff(n_attempts, Duration::from_millis(since));
            prop_assert!(backoff.is_none_or(|backoff| backoff >= FIRST_BACKOFF && backoff <= MAX_BACKOFF));
        }
    }
}
