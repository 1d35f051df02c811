//! Arrivals: the send times of the requests of an open loop.
//!
//! Decision: a schedule is computed here as plain numbers, from random numbers that the caller
//! passes in, and the generator only follows it; so it can be tested, and two runs with one seed
//! send at the same times.

use std::time::Duration;

use crate::Random;

/// A period with a constant rate.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// The mean rate.
    pub requests_per_second: f64,
    /// The length.
    pub duration: Duration,
}

/// Returns the send times of a Poisson process, in microseconds from the start, ascending.
/// Arrivals are independent of each other, like those of many users.
#[must_use]
pub fn poisson(phases: &[Phase], random: &mut Random) -> Vec<u64> {
    let mut due_us = Vec::new();
    let mut start = 0.0;
    for phase in phases {
        let end = start + phase.duration.as_secs_f64();
        let mut now = start;
        loop {
            now += -random.unit().ln() / phase.requests_per_second;
            if now >= end {
                break;
            }
            let due = Duration::from_secs_f64(now).as_micros();
            due_us.push(u64::try_from(due).unwrap_or(u64::MAX));
        }
        start = end;
    }
    due_us
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poisson(phases: &[Phase], seed: u64) -> Vec<u64> {
        super::poisson(phases, &mut Random::new(seed))
    }

    fn phase(requests_per_second: f64, seconds: u64) -> Phase {
        Phase {
            requests_per_second,
            duration: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_seed_gives_the_same_schedule_again() {
        let phases = [phase(100.0, 2)];
        assert_eq!(poisson(&phases, 1), poisson(&phases, 1));
        assert_ne!(poisson(&phases, 1), poisson(&phases, 2));
    }

    #[test]
    fn each_phase_has_its_rate() {
        let due = poisson(&[phase(1000.0, 20), phase(5000.0, 10), phase(100.0, 30)], 3);
        assert!(due.is_sorted());
        let n_between = |from: u64, to: u64| {
            let is_in = |due: &&u64| (from * 1_000_000..to * 1_000_000).contains(*due);
            due.iter().filter(is_in).count()
        };
        // Four standard deviations of a Poisson count.
        assert!(
            n_between(0, 20).abs_diff(20_000) < 566,
            "{}",
            n_between(0, 20)
        );
        assert!(
            n_between(20, 30).abs_diff(50_000) < 895,
            "{}",
            n_between(20, 30)
        );
        assert!(
            n_between(30, 60).abs_diff(3_000) < 220,
            "{}",
            n_between(30, 60)
        );
        assert_eq!(n_between(60, 1000), 0);
    }

    #[test]
    fn gaps_vary_as_those_of_independent_arrivals() {
        let due = poisson(&[phase(1000.0, 50)], 5);
        let gaps: Vec<f64> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance.sqrt() / mean;
        assert!((variation - 1.0).abs() < 0.02, "{variation}");
    }

    #[test]
    fn phases_follow_each_other_without_a_gap_or_an_overlap() {
        let alone = poisson(&[phase(1000.0, 2)], 9);
        let both = poisson(&[phase(1000.0, 2), phase(1000.0, 2)], 9);
        assert_eq!(both[..alone.len()], alone);
        assert!(both[alone.len()..].iter().all(|due| *due >= 2_000_000));
        assert!(both.iter().all(|due| *due < 4_000_000));
    }

    #[test]
    fn no_time_and_no_phase_have_no_requests() {
        assert_eq!(poisson(&[], 1), [0; 0]);
        assert_eq!(poisson(&[phase(1000.0, 0)], 1), [0; 0]);
    }
}
