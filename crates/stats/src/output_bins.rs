//! Two-sample test of outputs: classes or bins of a score, arm against arm.
//!
//! Input: requests per bin in both arms. Rule: under "same outputs" the arm of a request is
//! independent of its bin, so each bin runs the share process of [`sprt`] with the ratios of its
//! grid and their inverses; E is the mean over bins. Because E alone finds any difference at enough
//! traffic, the size of the difference is reported beside it, without the part that chance
//! explains:
//!
//! ```text
//! distance = sqrt(max(0, JS2^2 - (bins-1) (1/n_c + 1/n_s) / (8 ln 2)))
//! ```
//!
//! JS2 is the Jensen-Shannon distance with logarithms of base 2. Cold start: E = 1, distance 0. A
//! new bin starts with evidence 1.

use serde::{Deserialize, Serialize};

use super::ln_mean_exp;
use super::sprt::{self, add_events};

const RATIOS: usize = 2 * sprt::GRID.len();

/// The requests of both arms in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// Requests of the version that served before.
    pub stable: u64,
    /// Requests of the version on trial.
    pub candidate: u64,
}

/// The evidence that the outputs differ, and the counts behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputBins {
    counts: Vec<Bin>,
    log_ratios: Vec<[f64; RATIOS]>,
}

impl OutputBins {
    /// Adds a block; bins keep their indices from block to block.
    pub fn add_block(&mut self, block: &[Bin]) {
        let n_bins = self.counts.len().max(block.len());
        self.counts.resize(n_bins, Bin::default());
        self.log_ratios.resize(n_bins, [0.0; RATIOS]);
        let total = total(block);
        let grid = two_sided();
        let share = total.candidate as f64 / (total.candidate + total.stable).max(1) as f64;
        let sums = self.counts.iter_mut().zip(&mut self.log_ratios);
        for ((sum, log_ratios), bin) in sums.zip(block) {
            sum.stable += bin.stable;
            sum.candidate += bin.candidate;
            add_events(log_ratios, &grid, (bin.candidate, bin.stable), share);
        }
    }

    /// Returns ln E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        let all: Vec<_> = self.log_ratios.iter().map(|bin| ln_mean_exp(bin)).collect();
        match all.is_empty() {
            true => 0.0,
            false => ln_mean_exp(&all),
        }
    }

    /// Returns the de-biased Jensen-Shannon distance, from 0 to 1.
    #[must_use]
    pub fn distance(&self) -> f64 {
        let total = total(&self.counts);
        if total.stable == 0 || total.candidate == 0 {
            return 0.0;
        }
        let (stable, candidate) = (total.stable as f64, total.candidate as f64);
        let mut squared = 0.0;
        for bin in &self.counts {
            let (p, q) = (bin.stable as f64 / stable, bin.candidate as f64 / candidate);
            squared += divergence_part(p, (p + q) / 2.0) + divergence_part(q, (p + q) / 2.0);
        }
        let by_chance = self.counts.len().saturating_sub(1) as f64
            * (1.0 / stable + 1.0 / candidate)
            / (8.0 * std::f64::consts::LN_2);
        (squared - by_chance).max(0.0).sqrt()
    }

    /// Returns the requests of both arms.
    #[must_use]
    pub fn total(&self) -> Bin {
        total(&self.counts)
    }
}

fn divergence_part(p: f64, middle: f64) -> f64 {
    match p > 0.0 {
        true => p / 2.0 * (p / middle).log2(),
        false => 0.0,
    }
}

fn total(bins: &[Bin]) -> Bin {
    Bin {
        stable: bins.iter().map(|bin| bin.stable).sum(),
        candidate: bins.iter().map(|bin| bin.candidate).sum(),
    }
}

fn two_sided() -> [f64; RATIOS] {
    let mut grid = [1.0; RATIOS];
    let both = sprt::GRID
        .into_iter()
        .flat_map(|theta| [theta, 1.0 / theta]);
    for (value, theta) in grid.iter_mut().zip(both) {
        *value = theta;
    }
    grid
}
