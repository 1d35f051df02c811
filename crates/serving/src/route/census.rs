//! The census: which units were seen, so that each is counted once.
//!
//! Input: the fingerprint of a unit. Rule: an exact set of at most 2^20 fingerprints of 64 bits;
//! whoever comes later is not counted. Cold start: nobody. Rejected: an approximate distinct
//! counter, whose error of one or two percent looks like a broken split.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

/// 8 MiB of fingerprints, and about as much of table.
const MAX_UNITS: usize = 1 << 20;

/// Enough that threads rarely meet, and that growing one part takes a fraction of a millisecond.
const N_SHARDS: usize = 64;

/// The units seen.
#[derive(Debug)]
pub(super) struct Census {
    shards: Box<[Mutex<Shard>]>,
    n_units: AtomicUsize,
    max_units: usize,
}

type Shard = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// Fingerprints are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Default for Census {
    fn default() -> Self {
        Self::of_at_most(MAX_UNITS)
    }
}

impl Census {
    fn of_at_most(max_units: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default);
        Self {
            shards: shards.take(N_SHARDS).collect(),
            n_units: AtomicUsize::new(0),
            max_units,
        }
    }

    /// Takes note of a unit; whether it is new.
    pub(super) fn is_new(&self, unit: &str) -> bool {
        let fingerprint = xxh3_64(unit.as_bytes());
        let Some(shard) = self.shard(fingerprint) else {
            return false;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_full() {
            return false;
        }
        let is_new = shard.insert(fingerprint);
        if is_new {
            self.n_units.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// Whether a unit was seen, as far as is known: of a full census nobody is a stranger.
    pub(super) fn knows(&self, unit: &str) -> bool {
        let fingerprint = xxh3_64(unit.as_bytes());
        let is_there = self.shard(fingerprint).is_some_and(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.contains(&fingerprint)
        });
        is_there || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.n_units.load(Ordering::Relaxed) >= self.max_units
    }

    /// By the middle bits: the table inside uses the others.
    fn shard(&self, fingerprint: u64) -> Option<&Mutex<Shard>> {
        let index = usize::try_from(fingerprint >> 40).ok()? % N_SHARDS;
        self.shards.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_new_once_and_a_full_census_counts_nobody() {
        let census = Census::of_at_most(2);
        let asked = ["a", "b", "a", "c"].map(|unit| census.is_new(unit));
        assert_eq!(asked, [true, true, false, false]);
        assert!(census.knows("a"));
        assert!(census.knows("c"), "it may have come when there was no room");
        let census = Census::default();
        assert!(census.is_new("a"));
        assert!(!census.knows("c"));
    }

    #[test]
    fn threads_count_each_unit_once() {
        let census = Census::default();
        let units: Vec<_> = (0..2000).map(|unit| unit.to_string()).collect();
        let count = || units.iter().filter(|unit| census.is_new(unit)).count();
        let n_new: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(n_new, units.len());
    }
}
