//! Random numbers for requests that have no unit.
//!
//! Decision: a counter with a random start that is scrambled (SplitMix64): evenly spread, without a
//! lock, for the price of one addition; guessing the next number gains a caller nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The distance of two states: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Source of random numbers for many threads.
#[derive(Debug)]
pub(super) struct RequestRng(AtomicU64);

impl Default for RequestRng {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }
}

impl RequestRng {
    /// Returns the next number.
    pub(super) fn next(&self) -> u64 {
        mix64(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}

fn mix64(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let rng = RequestRng(AtomicU64::new(1_234_567));
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([rng.next(), rng.next()], expected);
    }

    #[test]
    fn the_numbers_are_spread_evenly() {
        let rng = RequestRng::default();
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[usize::try_from(rng.next() % 10).unwrap()] += 1;
        }
        // Ten standard deviations: a fair source practically never exceeds them.
        let is_even = counts.iter().all(|&count| (9050..10_950).contains(&count));
        assert!(is_even, "{counts:?}");
    }
}
