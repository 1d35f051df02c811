//! Which arm has the better reward: posterior probabilities, and the weights that follow them.
//!
//! Input: Beta posteriors of yes-or-no rewards. Two arms are compared exactly,
//!
//! ```text
//! P(B > A) = sum over i < alpha_B of B(alpha_A + i, beta_A + beta_B) / ((beta_B + i) B(1 + i, beta_B) B(alpha_A, beta_A))
//! ```
//!
//! more arms by draws, where an arm gets half of its probability to be best and half of that to be
//! second: the runner-up keeps being measured. A floor keeps every arm alive.

use rand::Rng;
use rand_distr::{Beta, Distribution};

use super::ln_beta;

/// A Beta posterior: the prior Beta(1, 1) plus the rewards seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posterior {
    /// 1 plus the successes.
    pub alpha: u32,
    /// 1 plus the failures.
    pub beta: u32,
}

/// P(b > a).
#[must_use]
pub fn probability_better(b: Posterior, a: Posterior) -> f64 {
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

/// The weights of three or more arms from `n_draws` draws: half P(best) plus half P(second).
///
/// Empty when a posterior has a zero, which a posterior of a Beta(1, 1) prior never has.
pub fn top_two_weights(arms: &[Posterior], n_draws: u32, random: &mut impl Rng) -> Vec<f64> {
    let posteriors = arms.iter();
    let betas: Result<Vec<_>, _> = posteriors
        .map(|arm| Beta::new(f64::from(arm.alpha), f64::from(arm.beta)))
        .collect();
    let Ok(betas) = betas else { return Vec::new() };
    let mut weights = vec![0.0; arms.len()];
    for _ in 0..n_draws {
        let mut draws: Vec<_> = betas
            .iter()
            .map(|beta| beta.sample(random))
            .zip(0..)
            .collect();
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

/// Lifts every weight to the floor: floor + (1 - k floor) w for k arms.
#[must_use]
pub fn with_floor(weight: f64, n_arms: u32, floor: f64) -> f64 {
    floor + (1.0 - f64::from(n_arms) * floor) * weight
}
