//! Two-sample test of outputs: classes or bins of a score, arm against arm.
//!
//! Inputs: outputs per bin in both arms, and the weight of the candidate. Rule: under "same
//! outputs" the arm of an output is independent of its bin, so each bin runs the share process of
//! the [`sprt`](super::sprt) at the weight, with the ratios of its grid and their inverses; E is
//! the mean over the bins. They are frozen beforehand, to the bins that the first [`N_LEARNED`]
//! outputs of stable fell into and one for all others: a mean over bins that appear with the data
//! is no e-process. Because E alone finds any difference at enough traffic, the size of the
//! difference is reported beside it, without the part that chance explains:
//!
//! ```text
//! distance = sqrt(max(0, JS2^2 - (bins-1) (1/n_c + 1/n_s) / (8 ln 2)))
//! ```
//!
//! JS2 is the Jensen-Shannon distance with logarithms of base 2. Cold start: while the bins are
//! learned, E = 1 and the distance is 0; the outputs of that time are not compared. Recovery: E
//! falls again while the outputs are alike. Rejected alternative: all bins that the model could
//! have; with 32 bins, of which 3 are in use, E loses a factor of ten.

use serde::{Deserialize, Serialize};

use super::ln_mean_exp;
use super::sprt::{TWO_SIDED, add_events, two_sided_grid};

/// Number of outputs of stable that freeze the bins: a class with a share of 1 in 50 is among them
/// with a probability of 98 %, and rarer ones are compared together.
const N_LEARNED: u64 = 200;

/// The outputs of both arms in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// Outputs of the version that served before.
    pub stable: u64,
    /// Outputs of the version on trial.
    pub candidate: u64,
}

/// The evidence that the outputs differ, and the counts behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputBins {
    /// Outputs of stable by bin, until the bins are frozen.
    learned: Vec<u64>,
    /// The bin for all others, then the frozen ones by index; empty until they are frozen.
    frozen: Vec<FrozenBin>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct FrozenBin {
    /// The index in a block; `None` for all others.
    index: Option<usize>,
    counts: Bin,
    log_ratios: [f64; TWO_SIDED],
}

impl OutputBins {
    /// Creates a test whose bins are frozen to those in which stable had outputs.
    #[must_use]
    pub fn frozen(stable: &[u64]) -> Self {
        let used = stable.iter().enumerate().filter(|&(_, &n)| n > 0);
        let indices = used.map(|(index, _)| Some(index));
        let bin = |index| FrozenBin {
            index,
            ..FrozenBin::default()
        };
        Self {
            learned: Vec::new(),
            frozen: std::iter::once(None).chain(indices).map(bin).collect(),
        }
    }

    /// Adds a block that came at this weight of the candidate; bins keep their indices from block
    /// to block.
    pub fn add_block(&mut self, block: &[Bin], weight: f64) {
        if self.frozen.is_empty() {
            self.learn(block);
            return;
        }
        let mut sums = vec![Bin::default(); self.frozen.len()];
        for (index, bin) in block.iter().enumerate() {
            let position = self
                .frozen
                .binary_search_by_key(&Some(index), |bin| bin.index);
            if let Some(sum) = sums.get_mut(position.unwrap_or(0)) {
                sum.add(*bin);
            }
        }
        let grid = two_sided_grid();
        for (bin, sum) in self.frozen.iter_mut().zip(sums) {
            bin.counts.add(sum);
            add_events(
                &mut bin.log_ratios,
                &grid,
                (sum.candidate, sum.stable),
                weight,
            );
        }
    }

    fn learn(&mut self, block: &[Bin]) {
        let n_bins = self.learned.len().max(block.len());
        self.learned.resize(n_bins, 0);
        for (sum, bin) in self.learned.iter_mut().zip(block) {
            *sum += bin.stable;
        }
        if self.learned.iter().sum::<u64>() >= N_LEARNED {
            *self = Self::frozen(&self.learned);
        }
    }

    /// Returns ln E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        let bins = self.frozen.iter().map(|bin| ln_mean_exp(&bin.log_ratios));
        let all: Vec<_> = bins.collect();
        match all.is_empty() {
            true => 0.0,
            false => ln_mean_exp(&all),
        }
    }

    /// Returns the de-biased Jensen-Shannon distance, from 0 to 1.
    #[must_use]
    pub fn distance(&self) -> f64 {
        let total = self.total();
        if total.stable == 0 || total.candidate == 0 {
            return 0.0;
        }
        let (stable, candidate) = (total.stable as f64, total.candidate as f64);
        let mut squared = 0.0;
        for FrozenBin { counts: bin, .. } in &self.frozen {
            let (p, q) = (bin.stable as f64 / stable, bin.candidate as f64 / candidate);
            squared += divergence_part(p, (p + q) / 2.0) + divergence_part(q, (p + q) / 2.0);
        }
        let by_chance = self.frozen.len().saturating_sub(1) as f64
            * (1.0 / stable + 1.0 / candidate)
            / (8.0 * std::f64::consts::LN_2);
        (squared - by_chance).max(0.0).sqrt()
    }

    /// Returns the compared outputs of both arms.
    #[must_use]
    pub fn total(&self) -> Bin {
        let mut total = Bin::default();
        for bin in &self.frozen {
            total.add(bin.counts);
        }
        total
    }
}

impl Bin {
    fn add(&mut self, other: Self) {
        self.stable += other.stable;
        self.candidate += other.candidate;
    }
}

fn divergence_part(p: f64, middle: f64) -> f64 {
    match p > 0.0 {
        true => p / 2.0 * (p / middle).log2(),
        false => 0.0,
    }
}
