//! Send times of the requests of an open loop.
//!
//! Decision: a schedule is computed here as plain numbers, from a fixed seed, and the load
//! generator only follows it; so it can be tested, and two runs send at the same times. Arrivals
//! are a Poisson process: independent of each other, like those of many users.

use std::time::Duration;

/// A period with a constant rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) requests_per_second: f64,
    pub(super) duration: Duration,
}

/// Returns the send times, in microseconds from the start, ascending.
pub(super) fn poisson(phases: &[Phase], seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
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

/// A small generator of random numbers (SplitMix64): fast, and the same on every machine.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns one of 65536 numbers from 0 to below 1.
    pub(super) fn coarse(&mut self) -> f32 {
        let bits = u16::try_from(self.bits() >> 48).unwrap_or(u16::MAX);
        f32::from(bits) / 65_536.0
    }

    /// Returns a number above 0 and up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        let n_steps = (1_u64 << 53) as f64;
        ((self.bits() >> 11) + 1) as f64 / n_steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn unit_numbers_are_never_zero() {
        let mut random = Random::new(0);
        let numbers: Vec<_> = (0..1000).map(|_| random.unit()).collect();
        assert!(numbers.iter().all(|number| *number > 0.0 && *number <= 1.0));
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

    #[test]
    fn the_generator_is_the_one_that_is_published() {
        // The first numbers of SplitMix64 from the seed 0.
        let mut random = Random::new(0);
        let expected = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!([(); 3].map(|()| random.bits()), expected);
    }

    #[test]
    fn coarse_numbers_fill_their_range_evenly() {
        let mut random = Random::new(7);
        let numbers: Vec<_> = (0..10_000).map(|_| random.coarse() * 10.0).collect();
        let counts: Vec<_> = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
            .iter()
            .map(|from| {
                let is_in = |number: &&f32| (*from..from + 1.0).contains(*number);
                numbers.iter().filter(is_in).count()
            })
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), numbers.len());
        // Five standard deviations of a binomial count.
        assert!(counts.iter().all(|n| n.abs_diff(1000) < 150), "{counts:?}");
    }
}
