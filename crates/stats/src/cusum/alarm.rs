//! Alarm that rises with the CUSUM of a rate, and ends when the rate has recovered.
//!
//! Inputs: blocks of requests and events, the limit of ln D, and the number of good blocks that end
//! the alarm. Rule: the alarm rises when ln D reaches its limit. From then on a lower CUSUM tries
//! rates below p0, with the ratios h of [`non_inferiority`](crate::non_inferiority):
//!
//! ```text
//! C_h = max(0, C_h) + l_h(block),  D = mean of exp(C_h)
//! ```
//!
//! and the alarm ends when its D reaches 20 and the last blocks all lie below p0. Both sums then
//! start anew. Cold start: no alarm. Recovery: one good block undoes any number of bad ones, so the
//! time until the end does not depend on how long the outage was. Rejected alternative: to wait
//! until the upper CUSUM has fallen below its limit, which takes as long as the outage has lasted.

use super::{Cusum, log_ratio};
use crate::non_inferiority::GRID;
use crate::{Counts, ln_mean_exp};

/// ln 20, the evidence of a lower rate that ends an alarm: half a minute at 20 requests per second
/// and half a percent of errors.
const LN_RECOVERED: f64 = 2.995_732_273_553_991;

/// An alarm for a rate above p0.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    cusum: Cusum,
    ln_limit: f64,
    n_good_blocks: u32,
    recovery: Option<Recovery>,
}

/// The evidence that the rate lies below p0 again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Recovery {
    n_good_blocks: u32,
    log_ratios: [f64; GRID.len()],
}

impl Alarm {
    /// Creates an alarm for rates above `p0`, that rises when ln D reaches `ln_limit` and lasts for
    /// at least `n_good_blocks`.
    #[must_use]
    pub fn new(p0: f64, ln_limit: f64, n_good_blocks: u32) -> Self {
        Self {
            cusum: Cusum::new(p0),
            ln_limit,
            n_good_blocks,
            recovery: None,
        }
    }

    /// Adds a block.
    pub fn add_block(&mut self, block: Counts) {
        let p0 = self.cusum.p0();
        match &mut self.recovery {
            None => {
                self.cusum.add_block(block);
                let is_raised = self.cusum.ln_d() >= self.ln_limit;
                self.recovery = is_raised.then(Recovery::default);
            }
            Some(recovery) => {
                recovery.add_block(block, p0);
                let is_over = recovery.n_good_blocks >= self.n_good_blocks
                    && ln_mean_exp(&recovery.log_ratios) >= LN_RECOVERED;
                if is_over {
                    *self = Self::new(p0, self.ln_limit, self.n_good_blocks);
                }
            }
        }
    }

    /// Returns whether the alarm is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.recovery.is_some()
    }
}

impl Recovery {
    fn add_block(&mut self, block: Counts, p0: f64) {
        for (sum, h) in self.log_ratios.iter_mut().zip(GRID) {
            *sum = sum.max(0.0) + log_ratio(block, h, p0);
        }
        self.n_good_blocks = match block.rate() {
            Some(rate) if rate < p0 => self.n_good_blocks + 1,
            Some(_) => 0,
            None => self.n_good_blocks,
        };
    }
}

#[cfg(test)]
mod tests;
