//! Detection of a stable version that itself gets worse, so that a rollout waits.
//!
//! Inputs: requests and errors of stable, block by block. Rule: the rate of its first
//! [`N_BASELINE_REQUESTS`] requests is bounded from above, and 1.5 times that bound becomes the
//! alarm rate. From then on, blocks of ten seconds are compared with it by the one-sample process
//! in CUSUM form, with the limit ln(T / alpha) of half an hour. Cold start: no alarm while the rate
//! is learned. Recovery: the sum falls again with good blocks.

use std::time::Duration;

use stats::Counts;
use stats::bernoulli::ConfidenceSequence;
use stats::cusum::Cusum;

use crate::timestamp::Timestamp;

/// Number of requests that bound a rate of half a percent within a factor of four.
const N_BASELINE_REQUESTS: u64 = 1000;

/// Length of one block.
const BLOCK: Duration = Duration::from_secs(10);

/// Number of blocks in half an hour.
const N_BLOCKS: f64 = 180.0;

/// Probability of a false alarm in half an hour.
const ALPHA: f64 = 0.001;

/// Factor above the measured rate that is tolerated.
const SLACK: f64 = 1.5;

/// Lowest rate that can be distinguished from zero in reasonable time.
const MIN_RATE: f64 = 1e-4;

/// Alarm for the error rate of stable.
#[derive(Clone, Debug)]
pub(super) struct BaselineAlarm {
    cusum: Option<Cusum>,
    block: Counts,
    block_started: Timestamp,
}

impl BaselineAlarm {
    /// Creates an alarm that knows no rate yet.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            cusum: None,
            block: Counts::default(),
            block_started: now,
        }
    }

    /// Adds counts of stable; returns whether the alarm fires.
    pub(super) fn add(&mut self, counts: Counts, now: Timestamp) -> bool {
        self.block.add(counts);
        match &mut self.cusum {
            None if self.block.n >= N_BASELINE_REQUESTS => {
                self.cusum = alarm_rate(self.block).map(Cusum::new);
                self.start_block(now);
            }
            Some(cusum) if now.since(self.block_started) >= BLOCK => {
                cusum.add_block(self.block);
                self.start_block(now);
            }
            None | Some(_) => {}
        }
        let limit = (N_BLOCKS / ALPHA).ln();
        let cusum = self.cusum.as_ref();
        cusum.is_some_and(|cusum| cusum.ln_d() >= limit)
    }

    fn start_block(&mut self, now: Timestamp) {
        self.block = Counts::default();
        self.block_started = now;
    }
}

/// Returns the rate above which the alarm fires; `None` when stable fails so often that no rate is
/// higher.
fn alarm_rate(counts: Counts) -> Option<f64> {
    let sequence = ConfidenceSequence {
        alpha: 0.01,
        tuned_for: N_BASELINE_REQUESTS as f64,
    };
    let rate = SLACK * sequence.upper(counts).max(MIN_RATE);
    (rate < 1.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays seconds with `n` requests and `events` errors each; returns whether the alarm fired in
    /// the last one.
    fn play(
        baseline_alarm: &mut BaselineAlarm,
        now: &mut Timestamp,
        seconds: u64,
        n: u64,
        events: u64,
    ) -> bool {
        let mut is_firing = false;
        for _ in 0..seconds {
            *now = *now + Duration::from_secs(1);
            is_firing = baseline_alarm.add(Counts { n, events }, *now);
        }
        is_firing
    }

    #[test]
    fn the_alarm_fires_when_stable_fails_more_than_before_and_stops_when_it_recovers() {
        let mut now = Timestamp(0);
        let mut baseline_alarm = BaselineAlarm::new(now);
        assert!(
            !play(&mut baseline_alarm, &mut now, 600, 1000, 5),
            "as always"
        );
        assert!(
            play(&mut baseline_alarm, &mut now, 30, 1000, 200),
            "in trouble"
        );
        assert!(
            !play(&mut baseline_alarm, &mut now, 600, 1000, 5),
            "well again"
        );
    }

    #[test]
    fn the_alarm_stays_quiet_without_traffic() {
        let mut now = Timestamp(0);
        let mut baseline_alarm = BaselineAlarm::new(now);
        assert!(!play(&mut baseline_alarm, &mut now, 86_400, 0, 0));
    }
}
