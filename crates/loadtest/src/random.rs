//! Random numbers of arrivals and inputs.
//!
//! Decision: `SplitMix64`, a few lines whose numbers are the same on every machine and in every
//! version.

/// Generator of random numbers.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator; equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
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
    pub fn coarse(&mut self) -> f32 {
        let bits = u16::try_from(self.bits() >> 48).unwrap_or(u16::MAX);
        f32::from(bits) / 65_536.0
    }

    /// Returns a number above 0 and up to 1.
    pub fn unit(&mut self) -> f64 {
        let n_steps = (1_u64 << 53) as f64;
        ((self.bits() >> 11) + 1) as f64 / n_steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_numbers_are_never_zero() {
        let mut random = Random::new(0);
        let numbers: Vec<_> = (0..1000).map(|_| random.unit()).collect();
        assert!(numbers.iter().all(|number| *number > 0.0 && *number <= 1.0));
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
