//! Detection of a stable version that itself gets worse, so that a rollout waits.
//!
//! Inputs: requests and errors of stable, block by block. Rule: the rate of its first
//! [`N_BASELINE_REQUESTS`] requests is bounded from above, and 1.5 times that bound becomes the
//! alarm rate. From then on, blocks of ten seconds are compared with it by the [alarm](Alarm) of
//! the CUSUM, with the limit ln(T / alpha) of half an hour. Cold start: no alarm while the rate is
//! learned. Recovery: the alarm ends after half a minute below the alarm rate, however long the
//! outage was.

use std::time::Duration;

use stats::Counts;
use stats::bernoulli::ConfidenceSequence;
use stats::cusum::Alarm;

use crate::timestamp::Timestamp;

/// Number of requests that bound a rate of half a percent within a factor of four.
const N_BASELINE_REQUESTS: u64 = 1000;

/// Length of one block.
const BLOCK: Duration = Duration::from_secs(10);

/// Number of good blocks that end the alarm: half a minute.
const N_GOOD_BLOCKS: u32 = 3;

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
    alarm: Option<Alarm>,
    block: Counts,
    block_started: Timestamp,
}

impl BaselineAlarm {
    /// Creates an alarm that knows no rate yet.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            alarm: None,
            block: Counts::default(),
            block_started: now,
        }
    }

    /// Adds counts of stable; returns whether the alarm fires.
    pub(super) fn add(&mut self, counts: Counts, now: Timestamp) -> bool {
        self.block.add(counts);
        match &mut self.alarm {
            None if self.block.n >= N_BASELINE_REQUESTS => {
                let ln_limit = (N_BLOCKS / ALPHA).ln();
                let alarm = |rate| Alarm::new(rate, ln_limit, N_GOOD_BLOCKS);
                self.alarm = alarm_rate(self.block).map(alarm);
                self.start_block(now);
            }
            Some(alarm) if now.since(self.block_started) >= BLOCK => {
                alarm.add_block(self.block);
                self.start_block(now);
            }
            None | Some(_) => {}
        }
        self.alarm.as_ref().is_some_and(Alarm::is_raised)
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

    /// Returns the seconds from the end of an outage of so many seconds until the alarm ends.
    fn seconds_until_the_end(outage: u64, requests_per_second: u64) -> u64 {
        let mut now = Timestamp(0);
        let mut baseline_alarm = BaselineAlarm::new(now);
        let n = requests_per_second;
        // One request in 200 fails, as evenly as whole requests can.
        let events = |second: u64| (second + 1) * n / 200 - second * n / 200;
        for second in 0..1003 {
            play(&mut baseline_alarm, &mut now, 1, n, events(second));
        }
        let is_firing = play(&mut baseline_alarm, &mut now, outage, n, n / 5);
        assert!(is_firing, "{outage} s at {n} requests per second");
        let mut seconds = 0..600;
        let end = |second: &u64| !play(&mut baseline_alarm, &mut now, 1, n, events(*second));
        seconds.find(end).unwrap() + 1
    }

    #[test]
    fn the_alarm_ends_within_a_minute_of_the_end_of_the_outage() {
        for requests_per_second in [20, 100, 1000] {
            for outage in [20, 300, 3600] {
                let seconds = seconds_until_the_end(outage, requests_per_second);
                let case = format!("{outage} s at {requests_per_second} requests per second");
                assert!((30..=60).contains(&seconds), "{case}: {seconds} s");
            }
        }
    }

    #[test]
    fn the_alarm_stays_quiet_without_traffic() {
        let mut now = Timestamp(0);
        let mut baseline_alarm = BaselineAlarm::new(now);
        assert!(!play(&mut baseline_alarm, &mut now, 86_400, 0, 0));
    }
}
