//! Simulated traffic with fixed seeds, and quantiles of what is measured in it.

use rand::SeedableRng;
use rand_distr::{Binomial, Distribution};
use rand_pcg::Pcg64Mcg;

use crate::{ArmCounts, Counts};

/// A source of counts with a seed of its own.
pub(crate) struct Sampler(pub(crate) Pcg64Mcg);

impl Sampler {
    pub(crate) fn new(number: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(number))
    }

    pub(crate) fn counts(&mut self, n: u64, p: f64) -> Counts {
        Counts {
            n,
            events: Binomial::new(n, p).unwrap().sample(&mut self.0),
        }
    }

    /// Draws `n` requests of which the candidate gets the share `weight`, with these rates of
    /// events of stable and candidate.
    pub(crate) fn arms(&mut self, n: u64, weight: f64, [stable, candidate]: [f64; 2]) -> ArmCounts {
        let n_candidate = self.counts(n, weight).events;
        ArmCounts {
            stable: self.counts(n - n_candidate, stable),
            candidate: self.counts(n_candidate, candidate),
        }
    }
}

/// Returns the median and the 90th percentile.
pub(crate) fn median_and_p90(mut values: Vec<u64>) -> [f64; 2] {
    values.sort_unstable();
    [50, 90].map(|percent| values[(values.len() - 1) * percent / 100] as f64)
}

/// Compares rows of `(name, measured, expected)` within 15 % and reports every row that differs.
pub(crate) fn check_within_15_percent(rows: &[(String, f64, f64)]) {
    let differs = |measured: f64, expected: f64| (measured / expected - 1.0).abs() > 0.15;
    let failing = rows
        .iter()
        .filter(|(_, measured, expected)| differs(*measured, *expected));
    let failing: Vec<_> = failing.collect();
    assert!(failing.is_empty(), "{failing:#?}");
}
