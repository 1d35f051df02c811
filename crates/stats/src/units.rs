//! The set of units that were counted, so that each is counted once.
//!
//! Inputs: the 64-bit fingerprint of a unit, and the largest number of units. Rule: an exact set.
//! When it is full, only the units stay whose fingerprint, hashed with a second seed, lies in the
//! first half of the hash space; then in the first quarter, and so on. Units outside that part are
//! not counted from then on; inside it, each is still counted exactly once. The hash depends on
//! nothing but the unit, so that the counted ones stay a random sample of both arms.
//!
//! Cold start: an empty set, and every unit is in the part. Recovery: an empty set for each epoch.
//! Rejected: counting no unit after the first 2^20, which makes evidence blind to a later break; an
//! approximate distinct counter, which cannot tell whether *this* unit was counted.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Largest number of units of one set: 8 MiB of fingerprints, in 18 MiB of slots.
pub const MAX_UNITS: usize = 1 << 20;

/// Seed of the second hash. Any number differs from the seed 0 of the fingerprints; it never
/// changes, because servers that share evidence must count the same units.
const SEED: u64 = 1;

/// The set of units that were counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedUnits {
    max_units: usize,
    /// The counted part of the hash space was halved so often.
    n_halvings: u32,
    fingerprints: FxHashSet<u64>,
}

impl Default for CountedUnits {
    fn default() -> Self {
        Self::new(MAX_UNITS)
    }
}

impl CountedUnits {
    /// Creates an empty set of at most `max_units` units.
    ///
    /// ```
    /// let mut counted = stats::units::CountedUnits::default();
    /// assert!(counted.insert(42), "a new unit is counted");
    /// assert!(!counted.insert(42), "and never again");
    /// ```
    #[must_use]
    pub fn new(max_units: usize) -> Self {
        Self {
            max_units,
            n_halvings: 0,
            fingerprints: FxHashSet::default(),
        }
    }

    /// Inserts a unit by its fingerprint; returns whether it is to be counted now.
    pub fn insert(&mut self, fingerprint: u64) -> bool {
        if !self.may_count(fingerprint) || self.fingerprints.contains(&fingerprint) {
            return false;
        }
        while self.fingerprints.len() >= self.max_units && self.n_halvings < u64::BITS {
            self.halve();
        }
        self.may_count(fingerprint) && self.fingerprints.insert(fingerprint)
    }

    /// Returns the number of units in the set: all that were counted, while the counted share is 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Returns whether the set has no units.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Returns the share of units that may be counted: 1 until the set is full for the first time,
    /// then a half, a quarter, and so on.
    #[must_use]
    pub fn counted_share(&self) -> f64 {
        (-f64::from(self.n_halvings)).exp2()
    }

    /// Returns whether a unit lies in the counted part of the hash space.
    #[must_use]
    pub fn may_count(&self, fingerprint: u64) -> bool {
        is_in_part(fingerprint, self.n_halvings)
    }

    fn halve(&mut self) {
        self.n_halvings += 1;
        let n_halvings = self.n_halvings;
        self.fingerprints
            .retain(|&fingerprint| is_in_part(fingerprint, n_halvings));
    }
}

/// Returns whether a unit lies in the first part of the hash space, halved so often.
fn is_in_part(fingerprint: u64, n_halvings: u32) -> bool {
    xxh3_64_with_seed(&fingerprint.to_le_bytes(), SEED).leading_zeros() >= n_halvings
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Number of the order of a unit, as random as a fingerprint.
    fn fingerprint(unit: u64) -> u64 {
        xxh3_64_with_seed(&unit.to_le_bytes(), 0)
    }

    #[test]
    fn a_full_set_goes_on_with_a_known_share_of_the_units() {
        let mut counted = CountedUnits::new(1000);
        let n_counted = |counted: &mut CountedUnits, units: std::ops::Range<u64>| {
            units
                .filter(|&unit| counted.insert(fingerprint(unit)))
                .count()
        };
        assert_eq!(n_counted(&mut counted, 0..1000), 1000);
        assert_eq!((counted.len(), counted.counted_share()), (1000, 1.0));
        n_counted(&mut counted, 1000..40_000);
        let (share, n_units) = (counted.counted_share(), counted.len());
        assert!((1.0 / 64.0..=1.0 / 32.0).contains(&share), "{share}");
        let expected = 40_000.0 * share;
        let deviation = (n_units as f64 - expected).abs();
        assert!(deviation < 4.0 * expected.sqrt(), "{n_units} of {expected}");
        assert_eq!(n_counted(&mut counted, 0..40_000), 0, "none a second time");
    }

    #[test]
    fn a_set_that_was_stored_counts_on() {
        let mut counted = CountedUnits::new(10);
        (0..100).for_each(|unit| {
            counted.insert(fingerprint(unit));
        });
        let text = serde_json::to_string(&counted).unwrap();
        let mut restored: CountedUnits = serde_json::from_str(&text).unwrap();
        assert_eq!(restored, counted);
        for unit in 0..200 {
            let fingerprint = fingerprint(unit);
            assert_eq!(restored.insert(fingerprint), counted.insert(fingerprint));
        }
    }

    proptest! {
        #[test]
        fn no_unit_is_counted_twice_and_the_bound_holds(
            units in prop::collection::vec(0_u64..300, 0..1000), max_units in 1_usize..100
        ) {
            let (mut counted, mut seen) = (CountedUnits::new(max_units), HashSet::new());
            for unit in units {
                if counted.insert(fingerprint(unit)) {
                    prop_assert!(seen.insert(unit), "{unit} was counted twice");
                }
                prop_assert!(counted.len() <= max_units);
            }
        }

        #[test]
        fn every_unit_of_the_counted_part_is_counted(
            units in prop::collection::vec(0_u64..1000, 0..1000), max_units in 1_usize..100
        ) {
            let mut counted = CountedUnits::new(max_units);
            let mut seen = HashSet::new();
            for &unit in &units {
                if counted.insert(fingerprint(unit)) {
                    seen.insert(unit);
                }
            }
            let in_part = units.iter().filter(|&&unit| counted.may_count(fingerprint(unit)));
            prop_assert!(in_part.into_iter().all(|unit| seen.contains(unit)));
        }
    }
}
