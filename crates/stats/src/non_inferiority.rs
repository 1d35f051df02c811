//! Non-inferiority test by a ratio: the odds of an event are below `ratio` times those of stable.
//!
//! Input: the blocks of [`sprt`](super::sprt). Rule: the same likelihood ratios with the roles
//! swapped. The null is an odds ratio of at least theta_NI, so an event comes from the candidate
//! with the share w0 = theta_NI w / (theta_NI w + 1 - w) or more, and a better candidate is tried
//! at the ratios of [`GRID`] below it:
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

use super::sprt::{add_block, share_at_odds_ratio};
use super::{ArmCounts, ln_mean_exp};

/// Ratios to the odds of the null, from nearly flawless to a little better.
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

    /// Adds a block; `ratio` is the odds ratio that counts as worse.
    pub fn add_block(&mut self, block: ArmCounts, ratio: f64) {
        let share = share_at_odds_ratio(block.candidate_share(), ratio);
        add_block(&mut self.log_ratios, &GRID, block, share);
    }
}
