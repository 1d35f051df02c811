//! Bandits: from what the answers of each arm were worth to the weights of the next period.
//!
//! Inputs: the rewards of every arm since the split was set, and the rule of the split. Rule: the
//! weight of an arm is the probability that it is the best of two, or half of that plus half of the
//! probability that it is the second of more; then a floor keeps every arm alive. Rewards that are
//! all 0 or 1 give Beta posteriors, any others normal posteriors of their means. Cold start: the
//! weights stay as they were written until every arm has enough rewards. Recovery: none, a restart
//! begins at the written weights. Rejected: a draw per request, as the share of a user would then
//! change from one request to the next, and weights that move with every reward, as the arms would
//! differ by what each hour is like.

use contract::Bandit;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use super::counters::Rewards;
use stats::best_arm::{
    MeanPosterior, Posterior, probability_better, probability_higher, top_two_weights,
    top_two_weights_of_means, with_floor,
};
use stats::means::difference::Moments;

/// The same rewards always give the same weights.
const SEED: u64 = 0x10c4_6a7e;

/// A weight is off by half a percentage point at most, 2 in 3 times.
const N_DRAWS: u32 = 10_000;

/// What `f64` loses of a whole number of buckets.
const ROUNDING: f64 = 1e-6;

/// The weights that the rewards suggest, by arm; `None` before there are enough of them.
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
    // Posteriors that cannot be drawn from suggest nothing.
    let n_arms = u32::try_from(arms.len()).ok()?;
    let is_whole = shares.len() == arms.len();
    let shares = shares.into_iter();
    let weights = shares.map(|share| with_floor(share, n_arms, rule.floor));
    is_whole.then(|| weights.collect())
}

fn pair(second: f64) -> Vec<f64> {
    vec![1.0 - second, second]
}

/// The posteriors of yes-or-no rewards; `None` when a reward is neither.
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

/// A sum of ones is a whole number.
fn whole(sum: f64) -> Option<u32> {
    let is_count = (0.0..f64::from(u32::MAX)).contains(&sum);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and the greatest number"
    )]
    is_count.then_some(sum as u32)
}

/// The posteriors of the means. The prior is one reward as the arms together have it, in mean and
/// variance, so that an arm whose rewards happen to be all the same is not taken for certain.
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

/// Weights in whole buckets that sum to 1: each is rounded down, and the buckets that are left go to
/// those that lost most, the first ones among equals.
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
