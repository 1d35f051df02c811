//! The set of seen units, so that each is counted once.
//!
//! Input: the fingerprint of a unit. Rule: an exact set of at most 2^20 fingerprints of 64 bits;
//! later units are not counted. Cold start: an empty set. Rejected: an approximate distinct
//! counter, whose error of one or two percent looks like a broken split.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashSet;
/// Largest number of units: 8 MiB of fingerprints, in 18 MiB of slots with a control byte each.
const MAX_UNITS: usize = 1 << 20;

/// Number of shards, so that threads rarely contend and a shard grows in a fraction of a
/// millisecond.
const N_SHARDS: usize = 64;

/// The set of seen units.
#[derive(Debug)]
pub(super) struct SeenUnits {
    shards: Box<[Mutex<FxHashSet<u64>>]>,
    n_units: AtomicUsize,
    max_units: usize,
}

impl Default for SeenUnits {
    fn default() -> Self {
        Self::with_max_units(MAX_UNITS)
    }
}

impl SeenUnits {
    fn with_max_units(max_units: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default);
        Self {
            shards: shards.take(N_SHARDS).collect(),
            n_units: AtomicUsize::new(0),
            max_units,
        }
    }

    /// Inserts the fingerprint of a unit; returns whether it is new.
    pub(super) fn insert(&self, fingerprint: u64) -> bool {
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

    /// Returns whether a unit was or may have been seen: always `true` when the set is full.
    pub(super) fn may_contain(&self, fingerprint: u64) -> bool {
        let is_there = self.shard(fingerprint).is_some_and(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.contains(&fingerprint)
        });
        is_there || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.n_units.load(Ordering::Relaxed) >= self.max_units
    }

    /// Returns the shard by the middle bits of a fingerprint.
    fn shard(&self, fingerprint: u64) -> Option<&Mutex<FxHashSet<u64>>> {
        let index = usize::try_from(fingerprint >> 40).ok()? % N_SHARDS;
        self.shards.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_new_once_and_a_full_set_counts_none() {
        let seen_units = SeenUnits::with_max_units(2);
        let asked = [1, 2, 1, 3].map(|unit| seen_units.insert(unit));
        assert_eq!(asked, [true, true, false, false]);
        assert!(seen_units.may_contain(1));
        assert!(
            seen_units.may_contain(3),
            "it may have come when there was no room"
        );
        let seen_units = SeenUnits::default();
        assert!(seen_units.insert(1));
        assert!(!seen_units.may_contain(3));
    }

    #[test]
    fn threads_count_each_unit_once() {
        let seen_units = SeenUnits::default();
        let units: Vec<_> = (0..2000_u64).map(|unit| unit << 40).collect();
        let count = || {
            let new = units.iter().filter(|unit| seen_units.insert(**unit));
            new.count()
        };
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
