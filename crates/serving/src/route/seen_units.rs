//! The set of seen units, so that each is counted once.
//!
//! Input: the fingerprint of a unit. Rule: an exact set of at most 2^20 fingerprints of 64 bits;
//! later units are not counted. Cold start: an empty set. Rejected: an approximate distinct
//! counter, whose error of one or two percent looks like a broken split.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

/// Largest number of units: 8 MiB of fingerprints, in 16 MiB of slots.
const MAX_UNITS: usize = 1 << 20;

/// Initial size of a shard; a power of two, as all sizes.
const MIN_SLOTS: usize = 16;

/// Number of shards, so that threads rarely contend and a shard grows in a fraction of a
/// millisecond.
const N_SHARDS: usize = 64;

/// The set of seen units.
#[derive(Debug)]
pub(super) struct SeenUnits {
    shards: Box<[Mutex<Shard>]>,
    n_units: AtomicUsize,
    max_units: usize,
}

/// A set of numbers in one piece of memory, so that a lookup touches one cache line: of a million
/// units, few are cached.
#[derive(Debug, Default)]
struct Shard {
    /// Slots, of which 0 is free. A number is in the first free slot from the one at its low bits.
    slots: Vec<u64>,
    n_occupied: usize,
}

impl Shard {
    /// Returns the slot that a number has or would get; `None` when there are no slots yet.
    fn slot_of(&self, number: u64) -> Option<usize> {
        let mask = u64::try_from(self.slots.len()).ok()?.checked_sub(1)?;
        let start = usize::try_from(number & mask).ok()?;
        let (before, after) = self.slots.split_at_checked(start)?;
        let is_it = |slot: &u64| *slot == number || *slot == 0;
        let found = after.iter().position(is_it).map(|steps| start + steps);
        found.or_else(|| before.iter().position(is_it))
    }

    fn contains(&self, number: u64) -> bool {
        let slot = self.slot_of(number);
        slot.and_then(|slot| self.slots.get(slot)) == Some(&number)
    }

    /// Inserts a number; returns whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        if self.n_occupied * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot_of(number);
        match slot.and_then(|slot| self.slots.get_mut(slot)) {
            Some(free @ 0) => {
                *free = number;
                self.n_occupied += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    fn grow(&mut self) {
        let n_slots = (self.slots.len() * 2).max(MIN_SLOTS);
        let earlier = std::mem::replace(&mut self.slots, vec![0; n_slots]);
        for number in earlier.into_iter().filter(|number| *number != 0) {
            let slot = self.slot_of(number);
            if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                *slot = number;
            }
        }
    }
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

    /// Inserts a unit; returns whether it is new.
    pub(super) fn insert(&self, unit: &str) -> bool {
        let fingerprint = fingerprint(unit);
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
    pub(super) fn may_contain(&self, unit: &str) -> bool {
        let fingerprint = fingerprint(unit);
        let is_there = self.shard(fingerprint).is_some_and(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.contains(fingerprint)
        });
        is_there || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.n_units.load(Ordering::Relaxed) >= self.max_units
    }

    /// Returns the shard by the middle bits of a fingerprint: the shard uses the others.
    fn shard(&self, fingerprint: u64) -> Option<&Mutex<Shard>> {
        let index = usize::try_from(fingerprint >> 40).ok()? % N_SHARDS;
        self.shards.get(index)
    }
}

/// Computes a fingerprint; never 0, which marks a free slot.
fn fingerprint(unit: &str) -> u64 {
    xxh3_64(unit.as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_new_once_and_a_full_set_counts_none() {
        let seen_units = SeenUnits::with_max_units(2);
        let asked = ["a", "b", "a", "c"].map(|unit| seen_units.insert(unit));
        assert_eq!(asked, [true, true, false, false]);
        assert!(seen_units.may_contain("a"));
        assert!(
            seen_units.may_contain("c"),
            "it may have come when there was no room"
        );
        let seen_units = SeenUnits::default();
        assert!(seen_units.insert("a"));
        assert!(!seen_units.may_contain("c"));
    }

    #[test]
    fn a_shard_is_a_set_whatever_its_numbers() {
        let mut shard = Shard::default();
        // The same low bits, so that all of them collide in one slot.
        let numbers = || (1..2000_u64).map(|number| number << 40);
        assert!(numbers().all(|number| !shard.contains(number)));
        assert!(numbers().all(|number| shard.insert(number)));
        assert!(numbers().all(|number| !shard.insert(number)));
        assert!(numbers().all(|number| shard.contains(number)));
        assert!(!shard.contains(7));
        assert!(shard.insert(u64::MAX) && shard.contains(u64::MAX));
    }

    #[test]
    fn threads_count_each_unit_once() {
        let seen_units = SeenUnits::default();
        let units: Vec<_> = (0..2000).map(|unit| unit.to_string()).collect();
        let count = || units.iter().filter(|unit| seen_units.insert(unit)).count();
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
