//! The time that callers give: low enough for nine requests in ten.
//!
//! Rule: the estimate falls by 4.5 % when a request has less, and rises by half a percent when it
//! has more, which balances at a tenth. So batches stay short enough for callers with deadlines
//! when the model sets no time limit, and one hasty caller does not spoil them for all.

use std::time::Duration;

const RISE: f64 = 1.005;
const FALL: f64 = 0.955;

/// What requests with a deadline usually have.
#[derive(Debug, Default)]
pub(super) struct UsualTime(Option<Duration>);

impl UsualTime {
    /// A request has this much time.
    pub(super) fn observe(&mut self, time: Duration) {
        let usual = self.0.map_or(time, |usual| match time < usual {
            true => usual.mul_f64(FALL),
            false => usual.mul_f64(RISE).min(time),
        });
        self.0 = Some(usual);
    }

    /// What nine requests in ten have; `None` before the first.
    pub(super) fn get(&self) -> Option<Duration> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_requests_may_have_less() {
        let mut usual = UsualTime::default();
        for round in 0_u32..20_000 {
            // 10 to 109 ms, in an order without pattern.
            usual.observe(Duration::from_millis(u64::from(10 + round * 37 % 100)));
        }
        let millis = usual.get().unwrap().as_millis();
        assert!((15..=25).contains(&millis), "{millis}");
    }

    #[test]
    fn equal_times_are_met_exactly() {
        let mut usual = UsualTime::default();
        for _ in 0..100 {
            usual.observe(Duration::from_millis(10));
        }
        assert_eq!(usual.get(), Some(Duration::from_millis(10)));
    }
}
