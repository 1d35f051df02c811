//! Non-inferiority test by a ratio: the rate of events is below `ratio` times that of stable.
//!
//! Input: the events of [`sprt`](super::sprt), but those of the *first requests* of units: with the
//! first events of a small pool of units, both arms run out of units that can have one, the share
//! of the candidate drifts to its weight, and a candidate at the limit passes. Rule: the same
//! likelihood ratios with the roles swapped. The null is a rate of at least theta_NI times that of
//! stable, so an event comes from the candidate with the share w0 = theta_NI w / (theta_NI w + 1 -
//! w) or more, and a better candidate is tried at the ratios of [`GRID`] below it:
//!
//! ```text
//! L_h += k_c ln(h / (h w0 + 1 - w0)) - k_s ln(h w0 + 1 - w0)
//! N = mean over h of exp(L_h); accepted at N >= 1 / beta
//! ```
//!
//! Cold start: N = 1, and it stays 1 while neither arm has events; a flawless model passes by the
//! difference of rates instead (see [`bernoulli`](super::bernoulli)). Recovery: N falls when events
//! of the candidate come.

use serde::{Deserialize, Serialize};

use super::sprt::{add_events, share_at_rate_ratio};
use super::{ArmCounts, ln_mean_exp};

/// Ratios to the rate of the null, from nearly flawless to a little better.
pub const GRID: [f64; 6] = [0.1, 0.2, 1.0 / 3.0, 0.5, 2.0 / 3.0, 0.8];

/// The evidence that the candidate is not worse by a ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NonInferiorityTest {
    log_ratios: [f64; GRID.len()],
}

impl NonInferiorityTest {
    /// Returns ln N.
    #[must_use]
    pub fn ln_n(&self) -> f64 {
        ln_mean_exp(&self.log_ratios)
    }

    /// Returns the evidence of this multiple of the same counts.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            log_ratios: self.log_ratios.map(|ratio| ratio * factor),
        }
    }

    /// Adds a block, in which the weight of the candidate is its share of the requests; `ratio` is
    /// the ratio of the rates that counts as worse.
    pub fn add_block(&mut self, block: ArmCounts, ratio: f64) {
        let (candidate, stable) = (block.candidate.events, block.stable.events);
        self.add_events(candidate, stable, block.candidate_share(), ratio);
    }

    /// Adds the events of both arms at the configured `weight` of the candidate.
    pub fn add_events(&mut self, candidate: u64, stable: u64, weight: f64, ratio: f64) {
        let share = share_at_rate_ratio(weight, ratio);
        add_events(&mut self.log_ratios, &GRID, (candidate, stable), share);
    }
}
