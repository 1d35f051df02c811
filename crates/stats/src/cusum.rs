//! One-sample tests of one arm against a fixed rate p0: differing shadow pairs, and the soak at
//! full weight.
//!
//! Input: blocks of requests and events. Rule, for every theta of the grid with theta p0 < 1:
//!
//! ```text
//! block:     l_theta = k ln(theta) + (n-k) ln((1 - theta p0) / (1 - p0))
//! FixedRate: L_theta += l_theta,                   E = mean of exp(L_theta), rejected at 1 / alpha
//! Cusum:     C_theta = max(0, C_theta) + l_theta,  D = mean of exp(C_theta), rejected at T / alpha
//! ```
//!
//! The CUSUM form restarts after good history, so that a long healthy time cannot hide a later
//! break; over T blocks the probability that D ever reaches T / alpha is at most alpha. Cold start:
//! E = D = 1, which is also the evidence without a usable theta (p0 of 0.8 and more).

use serde::{Deserialize, Serialize};

mod alarm;

pub use alarm::Alarm;

use super::sprt::GRID;
use super::{Counts, ln_mean_exp};

/// The evidence that a rate is above p0, over all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedRate {
    p0: f64,
    log_ratios: [f64; GRID.len()],
}

impl FixedRate {
    /// Starts against the rate `p0`.
    #[must_use]
    pub fn new(p0: f64) -> Self {
        Self {
            p0,
            log_ratios: [0.0; GRID.len()],
        }
    }

    /// Adds a block.
    pub fn add_block(&mut self, block: Counts) {
        for (sum, theta) in self.log_ratios.iter_mut().zip(GRID) {
            *sum += log_ratio(block, theta, self.p0);
        }
    }

    /// Returns ln E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_mean_usable(&self.log_ratios, self.p0)
    }
}

/// The evidence that a rate has risen above p0 at some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    p0: f64,
    log_ratios: [f64; GRID.len()],
}

impl Cusum {
    /// Starts against the rate `p0`.
    #[must_use]
    pub fn new(p0: f64) -> Self {
        Self {
            p0,
            log_ratios: [0.0; GRID.len()],
        }
    }

    /// Adds a block.
    pub fn add_block(&mut self, block: Counts) {
        for (sum, theta) in self.log_ratios.iter_mut().zip(GRID) {
            *sum = sum.max(0.0) + log_ratio(block, theta, self.p0);
        }
    }

    /// Returns ln D.
    #[must_use]
    pub fn ln_d(&self) -> f64 {
        ln_mean_usable(&self.log_ratios, self.p0)
    }

    /// Returns the rate p0.
    #[must_use]
    pub fn p0(&self) -> f64 {
        self.p0
    }
}

fn is_usable(theta: f64, p0: f64) -> bool {
    theta * p0 < 1.0
}

/// Returns the log-likelihood ratio of a block; 0 for a theta that is not usable.
fn log_ratio(block: Counts, theta: f64, p0: f64) -> f64 {
    if !is_usable(theta, p0) {
        return 0.0;
    }
    let events = block.events.min(block.n) as f64;
    let others = block.n as f64 - events;
    events * theta.ln() + others * ((-theta * p0).ln_1p() - (-p0).ln_1p())
}

fn ln_mean_usable(log_ratios: &[f64], p0: f64) -> f64 {
    let pairs = log_ratios.iter().zip(GRID);
    let usable: Vec<_> = pairs
        .filter(|&(_, theta)| is_usable(theta, p0))
        .map(|(&log_ratio, _)| log_ratio)
        .collect();
    match usable.is_empty() {
        true => 0.0,
        false => ln_mean_exp(&usable),
    }
}
