//! Sequential probability ratio test for a worse candidate: it has more than its share of the
//! events.
//!
//! Input: blocks of requests and events of both arms. Rule: given an event, a candidate that is no
//! worse causes it with probability at most w, its share of the requests of the block; against an
//! odds ratio theta that probability is theta w / (theta w + 1 - w). One log-likelihood ratio per
//! theta of [`GRID`]:
//!
//! ```text
//! L_theta += k_c ln(theta / (theta w + 1 - w)) - k_s ln(theta w + 1 - w)
//! E = mean over theta of exp(L_theta); "no worse" is rejected when E >= 1 / alpha
//! ```
//!
//! Cold start: E = 1. A block in which one arm has no requests changes nothing. Recovery: good
//! blocks push E down again. Rejected alternative: a test of two proportions per interval, which
//! cannot be evaluated twice. Source: mixture likelihood ratio (Robbins) for a conditional
//! Bernoulli share; with the realised share the count is hypergeometric, which only lowers the
//! expectation.

use serde::{Deserialize, Serialize};

use super::{ArmCounts, ln_mean_exp};

/// The odds ratios that the candidate is tried against, from a slow decay to an outage.
pub const GRID: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

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
    /// odds.
    #[must_use]
    pub fn of_block(block: ArmCounts, null_ratio: f64) -> Self {
        let mut evidence = Self::default();
        let share = share_at_odds_ratio(block.candidate_share(), null_ratio);
        add_block(&mut evidence.log_ratios, &GRID, block, share);
        evidence
    }
}

/// Returns the share of events that a candidate with `ratio` times the odds causes at the share `w`
/// of the requests: r w / (r w + 1 - w).
pub(super) fn share_at_odds_ratio(w: f64, ratio: f64) -> f64 {
    ratio * w / (ratio * w + 1.0 - w)
}

/// Adds the log-likelihood ratios of a block at the null share `w` for every ratio of a grid.
pub(super) fn add_block(log_ratios: &mut [f64], grid: &[f64], block: ArmCounts, w: f64) {
    let events = (block.candidate.events, block.stable.events);
    if events == (0, 0) || block.stable.n == 0 || block.candidate.n == 0 {
        return;
    }
    let (candidate, stable) = (events.0 as f64, events.1 as f64);
    for (sum, theta) in log_ratios.iter_mut().zip(grid) {
        let ln_odds = (theta * w + 1.0 - w).ln();
        *sum += candidate * (theta.ln() - ln_odds) - stable * ln_odds;
    }
}
