//! Sequential probability ratio test for a worse candidate: it has more than its share of the
//! events.
//!
//! Input: events of both arms, and the weight of the candidate while they happened. Rule: given an
//! event, a candidate that is no worse causes it with probability at most w, its weight; one with
//! theta times the rate of events causes it with probability theta w / (theta w + 1 - w). One
//! log-likelihood ratio per theta of [`GRID`]:
//!
//! ```text
//! L_theta += k_c ln(theta / (theta w + 1 - w)) - k_s ln(theta w + 1 - w)
//! E = mean over theta of exp(L_theta); "no worse" is rejected when E >= 1 / alpha
//! ```
//!
//! The weight is the configured one ([`Sprt::of_events`]) wherever units are assigned at random: the
//! assignment does not depend on the events that a unit would have, so each first event of a unit
//! belongs to the candidate with probability w, however unequal the traffic of the units is. The
//! share of the requests ([`Sprt::of_block`]) is for independent requests whose weight is not known;
//! with it the count is hypergeometric, which only lowers the expectation.
//!
//! Cold start: E = 1. Without events, or with all traffic in one arm, nothing changes. Recovery:
//! good blocks push E down again. Rejected alternative: a test of two proportions per interval,
//! which cannot be evaluated twice. Source: mixture likelihood ratio (Robbins) for a conditional
//! Bernoulli share.

use serde::{Deserialize, Serialize};

use super::{ArmCounts, ln_mean_exp};

/// The ratios of the rates that the candidate is tried against, from a slow decay to an outage.
pub const GRID: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// Number of ratios of the grid and their inverses.
pub(super) const TWO_SIDED: usize = 2 * GRID.len();

/// The evidence that the candidate is worse, over one window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sprt {
    log_ratios: [f64; GRID.len()],
}

impl Sprt {
    /// Returns ln E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_mean_exp(&self.log_ratios)
    }

    /// Adds a block, or the evidence of another replica.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in self.log_ratios.iter_mut().zip(other.log_ratios) {
            *sum += part;
        }
    }

    /// Returns the evidence of one block, against a candidate that may have `null_ratio` times the
    /// rate; its weight is its share of the requests.
    #[must_use]
    pub fn of_block(block: ArmCounts, null_ratio: f64) -> Self {
        let (candidate, stable) = (block.candidate.events, block.stable.events);
        Self::of_events(candidate, stable, block.candidate_share(), null_ratio)
    }

    /// Returns the evidence of the events of both arms at the configured `weight` of the candidate,
    /// against a candidate that may have `null_ratio` times the rate.
    #[must_use]
    pub fn of_events(candidate: u64, stable: u64, weight: f64, null_ratio: f64) -> Self {
        let mut evidence = Self::default();
        let share = share_at_rate_ratio(weight, null_ratio);
        add_events(&mut evidence.log_ratios, &GRID, (candidate, stable), share);
        evidence
    }
}

/// Returns the share of events that a candidate with `ratio` times the rate causes at the weight
/// `w`: r w / (r w + 1 - w).
pub(super) fn share_at_rate_ratio(w: f64, ratio: f64) -> f64 {
    ratio * w / (ratio * w + 1.0 - w)
}

/// Returns the ratios of the grid, each followed by its inverse.
pub(super) fn two_sided_grid() -> [f64; TWO_SIDED] {
    let mut grid = [1.0; TWO_SIDED];
    let both = GRID.into_iter().flat_map(|theta| [theta, 1.0 / theta]);
    for (value, theta) in grid.iter_mut().zip(both) {
        *value = theta;
    }
    grid
}

/// Adds the log-likelihood ratios of the events of candidate and stable at the null share `w` for
/// every ratio of a grid. Nothing is added when one arm has all traffic: no event could have
/// belonged to the other.
pub(super) fn add_events(
    log_ratios: &mut [f64],
    grid: &[f64],
    (candidate, stable): (u64, u64),
    w: f64,
) {
    if (candidate, stable) == (0, 0) || w <= 0.0 || w >= 1.0 {
        return;
    }
    let (candidate, stable) = (candidate as f64, stable as f64);
    for (sum, theta) in log_ratios.iter_mut().zip(grid) {
        let ln_norm = (theta * w + 1.0 - w).ln();
        *sum += candidate * (theta.ln() - ln_norm) - stable * ln_norm;
    }
}
