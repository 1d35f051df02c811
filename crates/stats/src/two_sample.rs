//! Two-sample test of the rates of two yes-or-no streams, in blocks.
//!
//! Input: blocks of both arms. Rule: the rates are learned from the earlier blocks only, so a block
//! is tested with rates that do not depend on it:
//!
//! ```text
//! theta_0 = (n_a theta_a + n_b theta_b) / (n_a + n_b)
//! e of a block = product of p_theta_a / p_theta_0 over a, times p_theta_b / p_theta_0 over b
//! ```
//!
//! Cold start: both rates are one half, and the first block is worth 1. Source: Turner, Ly,
//! Grünwald, "Generic E-variables for exact sequential k-sample tests".

use serde::{Deserialize, Serialize};

use super::{ArmCounts, Counts};

/// The evidence that two rates differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TwoSampleTest {
    ln_e: f64,
    seen: ArmCounts,
}

impl TwoSampleTest {
    /// Adds a block.
    pub fn add_block(&mut self, block: ArmCounts) {
        let rates = (
            estimated_rate(self.seen.stable),
            estimated_rate(self.seen.candidate),
        );
        self.ln_e += ln_e_of_block(block, rates.0, rates.1);
        self.seen.add(block);
    }

    /// Returns ln e.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        self.ln_e
    }
}

/// Returns the rate of earlier counts, with half an event of each kind, so that it is never 0 or 1.
fn estimated_rate(seen: Counts) -> f64 {
    (seen.events as f64 + 0.5) / (seen.n as f64 + 1.0)
}

/// Returns ln e of one block at given rates of stable and candidate, each above 0 and below 1.
#[must_use]
pub fn ln_e_of_block(block: ArmCounts, stable_rate: f64, candidate_rate: f64) -> f64 {
    let (n_stable, n_candidate) = (block.stable.n as f64, block.candidate.n as f64);
    if n_stable + n_candidate == 0.0 {
        return 0.0;
    }
    let pooled = (n_stable * stable_rate + n_candidate * candidate_rate) / (n_stable + n_candidate);
    ln_ratio(block.stable, stable_rate, pooled) + ln_ratio(block.candidate, candidate_rate, pooled)
}

fn ln_ratio(counts: Counts, rate: f64, pooled: f64) -> f64 {
    let events = counts.events.min(counts.n) as f64;
    let others = counts.n as f64 - events;
    events * (rate / pooled).ln() + others * ((1.0 - rate) / (1.0 - pooled)).ln()
}
