//! Comparison of arms by reward: posterior probabilities, and the weights that follow them.
//!
//! Input: Beta posteriors of yes-or-no rewards, or normal posteriors of the means of any others.
//! Two Beta arms are compared exactly,
//!
//! ```text
//! P(B > A) = sum over i < alpha_B of B(alpha_A + i, beta_A + beta_B) / ((beta_B + i) B(1 + i, beta_B) B(alpha_A, beta_A))
//! ```
//!
//! or as normal ones when all four counts are so large that the sum would be long. More arms are
//! compared by draws, where an arm gets half of its probability to be best and half of that to be
//! second: the runner-up keeps being measured. A floor keeps some traffic on every arm.

use rand::Rng;
use rand_distr::{Beta, Distribution, Normal};
use statrs::function::erf::erfc;

use super::ln_beta;

/// Maximum number of terms of the sum, which then takes milliseconds. With larger counts the normal
/// distribution is right to four digits.
const MAX_TERMS: u32 = 10_000;

/// A Beta posterior: the prior Beta(1, 1) plus the rewards seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posterior {
    /// 1 plus the successes.
    pub alpha: u32,
    /// 1 plus the failures.
    pub beta: u32,
}

/// A normal posterior of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanPosterior {
    /// The most likely mean.
    pub mean: f64,
    /// The variance of the posterior.
    pub variance: f64,
}

impl Posterior {
    /// Returns the posterior of the opposite reward.
    fn opposite(self) -> Self {
        Self {
            alpha: self.beta,
            beta: self.alpha,
        }
    }

    /// Returns the normal distribution with the same mean and variance.
    fn as_normal(self) -> MeanPosterior {
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let n = alpha + beta;
        MeanPosterior {
            mean: alpha / n,
            variance: alpha * beta / (n * n * (n + 1.0)),
        }
    }
}

/// Returns P(b > a).
#[must_use]
pub fn probability_better(b: Posterior, a: Posterior) -> f64 {
    // By symmetry the sum may run over any of the four counts; the smallest is fastest.
    let least = b.alpha.min(b.beta).min(a.alpha).min(a.beta);
    let probability = if least > MAX_TERMS {
        probability_higher(b.as_normal(), a.as_normal())
    } else if least == b.alpha {
        sum(b, a)
    } else if least == a.beta {
        sum(a.opposite(), b.opposite())
    } else if least == a.alpha {
        1.0 - sum(a, b)
    } else {
        1.0 - sum(b.opposite(), a.opposite())
    };
    probability.clamp(0.0, 1.0)
}

/// Returns P(b > a), with a term for each success of b.
fn sum(b: Posterior, a: Posterior) -> f64 {
    let (alpha_a, beta_a) = (f64::from(a.alpha), f64::from(a.beta));
    let beta_b = f64::from(b.beta);
    let prior = ln_beta(alpha_a, beta_a);
    (0..b.alpha)
        .map(f64::from)
        .map(|i| {
            ln_beta(alpha_a + i, beta_a + beta_b) - (beta_b + i).ln() - ln_beta(1.0 + i, beta_b)
        })
        .map(|term| (term - prior).exp())
        .sum()
}

/// Returns P(b > a); one half when both are certain and the same.
#[must_use]
pub fn probability_higher(b: MeanPosterior, a: MeanPosterior) -> f64 {
    let difference = b.mean - a.mean;
    if difference == 0.0 {
        return 0.5;
    }
    let z = difference / (a.variance + b.variance).sqrt();
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// Returns the weights of three or more arms from `n_draws` draws: half P(best) plus half
/// P(second).
///
/// Empty when a posterior has a zero, which a posterior of a Beta(1, 1) prior never has.
pub fn top_two_weights(arms: &[Posterior], n_draws: u32, random: &mut impl Rng) -> Vec<f64> {
    let posteriors = arms.iter();
    let betas: Result<Vec<_>, _> = posteriors
        .map(|arm| Beta::new(f64::from(arm.alpha), f64::from(arm.beta)))
        .collect();
    betas.map_or_else(
        |_| Vec::new(),
        |betas: Vec<_>| top_two(&betas, n_draws, random),
    )
}

/// Returns the same weights from normal posteriors.
///
/// Empty when a variance is not a number.
pub fn top_two_weights_of_means(
    arms: &[MeanPosterior],
    n_draws: u32,
    random: &mut impl Rng,
) -> Vec<f64> {
    let posteriors = arms.iter();
    let normals: Result<Vec<_>, _> = posteriors
        .map(|arm| Normal::new(arm.mean, arm.variance.sqrt()))
        .collect();
    normals.map_or_else(
        |_| Vec::new(),
        |normals: Vec<_>| top_two(&normals, n_draws, random),
    )
}

fn top_two<D: Distribution<f64>>(arms: &[D], n_draws: u32, random: &mut impl Rng) -> Vec<f64> {
    let mut weights = vec![0.0; arms.len()];
    for _ in 0..n_draws {
        let mut draws: Vec<_> = arms.iter().map(|arm| arm.sample(random)).zip(0..).collect();
        draws.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, arm) in draws.iter().take(2) {
            let arm: usize = *arm;
            if let Some(weight) = weights.get_mut(arm) {
                *weight += 0.5 / f64::from(n_draws);
            }
        }
    }
    weights
}

/// Lifts a weight to the floor: floor + (1 - k floor) w for k arms.
#[must_use]
pub fn with_floor(weight: f64, n_arms: u32, floor: f64) -> f64 {
    floor + (1.0 - f64::from(n_arms) * floor) * weight
}
