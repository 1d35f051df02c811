//! Order in which the versions of a comparison run.
//!
//! Inputs: the number of versions and a seed. Rule: an independent, uniformly random permutation
//! for each item (Fisher-Yates), so that every version runs equally often behind every other one;
//! the same seed gives the same orders. Rejected: a rotation, in which with three or more versions
//! the same version nearly always runs behind the same other one, and looks slow when that one
//! leaves cold caches or a busy machine behind.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

/// The orders of the versions, one after the other.
#[derive(Clone, Debug)]
pub struct VersionOrder {
    versions: Vec<usize>,
    random: Pcg64Mcg,
}

impl VersionOrder {
    /// Starts the orders of so many versions.
    #[must_use]
    pub fn new(n_versions: usize, seed: u64) -> Self {
        Self {
            versions: (0..n_versions).collect(),
            random: Pcg64Mcg::seed_from_u64(seed),
        }
    }

    /// Returns the versions in the order in which they run the next item.
    pub fn next_order(&mut self) -> &[usize] {
        self.versions.shuffle(&mut self.random);
        &self.versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how often each version ran directly behind each other one.
    fn successions(n_versions: usize, n_items: usize, seed: u64) -> Vec<Vec<u32>> {
        let mut order = VersionOrder::new(n_versions, seed);
        let mut counts = vec![vec![0; n_versions]; n_versions];
        for _ in 0..n_items {
            for pair in order.next_order().windows(2) {
                counts[pair[0]][pair[1]] += 1;
            }
        }
        counts
    }

    #[test]
    fn every_version_runs_equally_often_behind_every_other_one() {
        let n_items = 30_000;
        for n_versions in [2, 3, 10] {
            let expected = n_items as f64 / n_versions as f64;
            let counts = successions(n_versions, n_items, 7);
            for (before, row) in counts.iter().enumerate() {
                for (after, &count) in row.iter().enumerate().filter(|(after, _)| *after != before)
                {
                    // Five standard errors of a count.
                    let distance = (f64::from(count) - expected).abs();
                    assert!(
                        distance < 5.0 * expected.sqrt(),
                        "{after} behind {before}: {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_seed_decides_the_orders() {
        let orders = |seed| {
            let mut order = VersionOrder::new(5, seed);
            (0..20)
                .flat_map(|_| order.next_order().to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(orders(3), orders(3));
        assert_ne!(orders(3), orders(4));
    }

    #[test]
    fn each_order_has_every_version_once() {
        for n_versions in 0..10 {
            let mut order = VersionOrder::new(n_versions, 0);
            let mut versions = order.next_order().to_vec();
            versions.sort_unstable();
            assert_eq!(versions, (0..n_versions).collect::<Vec<_>>());
        }
    }
}
