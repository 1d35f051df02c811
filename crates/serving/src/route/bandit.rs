//! Bandits: the weights of the next period, from the rewards of each arm.
//!
//! Inputs: the rewards of every arm since the split was set, and the rule of the split. Rule: the
//! weight of an arm is the probability that it is the best of two, or half of that plus half of the
//! probability that it is the second of more; then a floor keeps every arm alive. Rewards that are
//! all 0 or 1 give Beta posteriors, any others normal posteriors of their means. Cold start: the
//! weights stay as written until every arm has enough rewards. Recovery: none, a restart begins at
//! the written weights. Rejected: a draw per request, because the arm of a user would change from
//! one request to the next, and weights that change with every reward, because the arms would then
//! differ by the hours at which they got traffic.

use contract::Bandit;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use stats::best_arm::{
    MeanPosterior, Posterior, probability_better, probability_higher, top_two_weights,
    top_two_weights_of_means, with_floor,
};
use stats::means::difference::Moments;

use super::counters::Rewards;

/// Fixed seed, so that the same rewards always give the same weights.
const SEED: u64 = 0x10c4_6a7e;

/// Number of draws; a weight is off by at most half a percentage point, 2 in 3 times.
const N_DRAWS: u32 = 10_000;

/// Rounding error of `f64` for a whole number of buckets.
const ROUNDING: f64 = 1e-6;

/// Returns the weights by arm; `None` before there are enough rewards.
pub(super) fn weights(arms: &[Rewards], rule: &Bandit) -> Option<Vec<f64>> {
    // One reward has no variance.
    let enough = rule.min_units.max(2);
    if arms.iter().any(|arm| arm.moments.n < enough) {
        return None;
    }
    let mut random = Pcg64Mcg::seed_from_u64(SEED);
    let shares = match binary(arms) {
        Some(arms) => match arms.as_slice() {
            [a, b] => pair(probability_better(*b, *a)),
            _ => top_two_weights(&arms, N_DRAWS, &mut random),
        },
        None => match means(arms)?.as_slice() {
            [a, b] => pair(probability_higher(*b, *a)),
            arms => top_two_weights_of_means(arms, N_DRAWS, &mut random),
        },
    };
    // Posteriors that cannot be sampled give no weights.
    let n_arms = u32::try_from(arms.len()).ok()?;
    let is_whole = shares.len() == arms.len();
    let shares = shares.into_iter();
    let weights = shares.map(|share| with_floor(share, n_arms, rule.floor));
    is_whole.then(|| weights.collect())
}

fn pair(second: f64) -> Vec<f64> {
    vec![1.0 - second, second]
}

/// Returns the posteriors of binary rewards; `None` when a reward is neither 0 nor 1.
fn binary(arms: &[Rewards]) -> Option<Vec<Posterior>> {
    let posterior = |arm: &Rewards| {
        let good = whole(arm.moments.sum)?;
        let all = u32::try_from(arm.moments.n).ok()?;
        (arm.n_non_binary == 0).then_some(Posterior {
            alpha: good.checked_add(1)?,
            beta: all.checked_sub(good)?.checked_add(1)?,
        })
    };
    arms.iter().map(posterior).collect()
}

/// Converts a sum of ones to an integer.
fn whole(sum: f64) -> Option<u32> {
    let is_count = (0.0..f64::from(u32::MAX)).contains(&sum);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and the greatest number"
    )]
    is_count.then_some(sum as u32)
}

/// Returns the posteriors of the means. The prior is one reward with the mean and variance of all
/// arms together, so that an arm whose rewards happen to be equal is not taken for certain.
fn means(arms: &[Rewards]) -> Option<Vec<MeanPosterior>> {
    let mut together = Moments::default();
    for arm in arms {
        together.add(arm.moments);
    }
    let (mean, variance) = (together.mean()?, together.variance()?);
    let posterior = |arm: &Rewards| {
        let n = arm.moments.n as f64;
        let own = (n * arm.moments.variance()? + variance) / (n + 1.0);
        if own == 0.0 {
            // Nothing varies at all, so all means are the same.
            return Some(MeanPosterior { mean, variance });
        }
        let (prior, seen) = (1.0 / variance, n / own);
        Some(MeanPosterior {
            mean: (mean * prior + arm.moments.mean()? * seen) / (prior + seen),
            variance: 1.0 / (prior + seen),
        })
    };
    arms.iter().map(posterior).collect()
}

/// Rounds weights to whole buckets that sum to 1: each is rounded down, and the remaining buckets
/// go to the weights that lost most, the first ones among equals.
pub(super) fn round_to_buckets(weights: &[f64], n_buckets: u32) -> Vec<f64> {
    let n_buckets = f64::from(n_buckets);
    let exact = weights.iter().map(|weight| weight * n_buckets);
    let mut buckets: Vec<_> = exact
        .map(|exact| ((exact + ROUNDING).floor(), exact))
        .collect();
    let mut n_left = n_buckets - buckets.iter().map(|(whole, _)| whole).sum::<f64>();
    let mut order: Vec<_> = buckets.iter_mut().collect();
    order.sort_by(|(a, exact_a), (b, exact_b)| (exact_b - *b).total_cmp(&(exact_a - *a)));
    for (whole, _) in order {
        if n_left < 0.5 {
            break;
        }
        *whole += 1.0;
        n_left -= 1.0;
    }
    buckets.iter().map(|(whole, _)| whole / n_buckets).collect()
}

#[cfg(test)]
mod tests;
