//! Restarts of the [`Sprt`], so that a break is found as fast after days as at the start.
//!
//! Inputs: the evidence and the counts of a block, and its time since the first block. Rule: a
//! process starts every ten minutes, the j-th with the weight w_j = 1 / (j (j + 1)):
//!
//! ```text
//! E = sum over started j of w_j E_j + the weight of those that have not started
//! ```
//!
//! The weights sum to 1, so E is an e-process. When [`MAX_STARTS`] processes run, the distance is
//! doubled and every second one is dropped; a dropped one counts 0, and its weight never returns.
//! The counts since the start that weighs most belong to the evidence: over the counts of the whole
//! rollout, a late break would be diluted.
//!
//! Cold start: E = 1. Recovery: as in the [`Sprt`]. Rejected alternatives: one window since the
//! start, in which healthy blocks pile up evidence that a break has to undo: a tenfold rate of
//! errors after a day takes 20 minutes instead of half a minute; a CUSUM, whose limit holds for a
//! number of blocks that must be known beforehand. Source: mixture over change points (Shin,
//! Ramdas, Rinaldo, "E-detectors"), with weights that sum to 1 instead of a limit for a run length.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sprt::Sprt;
use super::{ArmCounts, ln_sum_exp};

/// Distance of the first starts: long enough that few processes run, short enough that a break in
/// the middle is found within two minutes.
const DISTANCE: Duration = Duration::from_mins(10);

/// Largest number of processes: three and a half days of starts every ten minutes.
const MAX_STARTS: usize = 512;

/// The evidence that the candidate is worse since any of several starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestartedSprt {
    starts: Vec<Start>,
    n_started: u64,
    distance: Duration,
    next_start: Duration,
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Start {
    number: u64,
    evidence: Sprt,
    arms: ArmCounts,
}

impl Default for RestartedSprt {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            n_started: 0,
            distance: DISTANCE,
            next_start: Duration::ZERO,
        }
    }
}

impl RestartedSprt {
    /// Adds a block: its evidence, its counts, and its time since the first block.
    ///
    /// After a gap one process starts, not one for each that would have started meanwhile: they
    /// would all be alike.
    pub fn add(&mut self, evidence: &Sprt, arms: ArmCounts, since_first: Duration) {
        if since_first >= self.next_start {
            self.start(since_first);
        }
        for start in &mut self.starts {
            start.evidence.add(evidence);
            start.arms.add(arms);
        }
    }

    /// Returns ln E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        // Of 1/2 + 1/6 + ... the sum up to 1 / (n (n + 1)) is n / (n + 1).
        let not_started = 1.0 / (self.n_started as f64 + 1.0);
        let started = self.starts.iter();
        let started = started.map(|start| (start.evidence.ln_e(), start.weight()));
        ln_sum_exp(started.chain([(0.0, not_started)]))
    }

    /// Returns the counts since the start that contributes most to E.
    #[must_use]
    pub fn leading(&self) -> ArmCounts {
        let starts = self.starts.iter();
        let leading = starts.max_by(|a, b| a.ln_contribution().total_cmp(&b.ln_contribution()));
        leading.map(|start| start.arms).unwrap_or_default()
    }

    fn start(&mut self, now: Duration) {
        if self.starts.len() >= MAX_STARTS {
            let mut is_kept = false;
            self.starts.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.distance = self.distance.saturating_mul(2);
        }
        self.n_started += 1;
        self.next_start = now.saturating_add(self.distance);
        self.starts.push(Start {
            number: self.n_started,
            evidence: Sprt::default(),
            arms: ArmCounts::default(),
        });
    }
}

impl Start {
    /// Returns w_j.
    fn weight(&self) -> f64 {
        let number = self.number as f64;
        1.0 / (number * (number + 1.0))
    }

    /// Returns ln(w_j E_j).
    fn ln_contribution(&self) -> f64 {
        self.weight().ln() + self.evidence.ln_e()
    }
}

#[cfg(test)]
mod tests;
