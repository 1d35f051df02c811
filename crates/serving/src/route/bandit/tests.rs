//! Weights by rewards: vectors, properties, and bandits played in virtual time.

use proptest::prelude::*;
use rand::RngExt;
use rand_distr::{Binomial, Distribution};

use super::*;

/// So many rewards of 1 among all.
fn yes_or_no(good: u64, all: u64) -> Rewards {
    Rewards {
        moments: Moments {
            n: all,
            sum: good as f64,
            sum_squares: good as f64,
        },
        n_non_binary: 0,
    }
}

/// So many rewards with this mean and this variance.
fn graded(n: u64, mean: f64, variance: f64) -> Rewards {
    let count = n as f64;
    Rewards {
        moments: Moments {
            n,
            sum: count * mean,
            sum_squares: (count - 1.0) * variance + count * mean * mean,
        },
        n_non_binary: n,
    }
}

fn suggested(arms: &[Rewards]) -> Vec<f64> {
    weights(arms, &Bandit::default()).unwrap()
}

#[track_caller]
fn check(actual: &[f64], expected: &[f64], tolerance: f64) {
    let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    assert_eq!(actual.len(), expected.len());
    assert!(
        actual.iter().zip(expected).all(is_close),
        "{actual:?} is not {expected:?}"
    );
}

#[test]
fn two_arms_have_the_weights_of_the_reference() {
    let arms = [yes_or_no(10, 100), yes_or_no(15, 100)];
    check(&suggested(&arms), &[0.153_781_9, 0.846_218_1], 1e-6);
    let equal = [yes_or_no(10, 100); 2];
    check(&suggested(&equal), &[0.5, 0.5], 1e-9);
}

#[test]
fn nothing_moves_before_every_arm_has_enough_rewards() {
    let rule = Bandit {
        min_units: 30,
        ..Bandit::default()
    };
    let arms = |n| [yes_or_no(0, 1000), yes_or_no(n, n)];
    assert_eq!(weights(&arms(29), &rule), None);
    assert!(weights(&arms(30), &rule).is_some());
    let eager = Bandit {
        min_units: 1,
        ..Bandit::default()
    };
    let single = [graded(1, 1.0, 0.0), graded(1, 2.0, 0.0)];
    assert_eq!(weights(&single, &eager), None, "one reward has no variance");
}

#[test]
fn of_three_arms_the_two_best_share_the_traffic() {
    let arms = [
        yes_or_no(100, 1000),
        yes_or_no(300, 1000),
        yes_or_no(350, 1000),
    ];
    // Half of the best and half of the second, each lifted to the floor.
    check(&suggested(&arms), &[0.01, 0.495, 0.495], 1e-9);
    let equal = [yes_or_no(100, 1000); 3];
    check(&suggested(&equal), &[1.0 / 3.0; 3], 0.01);
    let of_means = [1.0, 3.0, 3.5].map(|mean| graded(1000, mean, 0.5));
    check(&suggested(&of_means), &[0.01, 0.495, 0.495], 1e-9);
}

#[test]
fn the_same_rewards_always_give_the_same_weights() {
    let arms = [10, 11, 12, 13].map(|good| yes_or_no(good, 100));
    assert_eq!(suggested(&arms), suggested(&arms));
}

#[test]
fn graded_rewards_are_compared_by_their_means() {
    let arms = [graded(400, 2.0, 4.0), graded(400, 2.2, 4.0)];
    // P(best) = Phi(0.2 / sqrt(2 * 4 / 401)), up to what the prior shrinks.
    check(&suggested(&arms), &[0.088, 0.912], 0.003);
    let one_number = [graded(100, 2.0, 0.0), graded(100, 2.0, 0.0)];
    check(&suggested(&one_number), &[0.5, 0.5], 1e-9);
    let two_numbers = [graded(100, 2.0, 0.0), graded(100, 3.0, 0.0)];
    check(&suggested(&two_numbers), &[0.01, 0.99], 1e-6);
}

#[test]
fn one_reward_that_is_neither_0_nor_1_makes_all_of_them_numbers() {
    let mut arms = [yes_or_no(50, 100), yes_or_no(60, 100)];
    let before = suggested(&arms);
    arms[0].moments.add(Moments {
        n: 1,
        sum: 0.5,
        sum_squares: 0.25,
    });
    arms[0].n_non_binary = 1;
    let after = suggested(&arms);
    assert_ne!(before, after);
    check(&after, &before, 0.02);
}

#[test]
fn millions_of_rewards_are_compared_like_thousands() {
    // The exact sum would have a million terms; the difference is 2 standard errors.
    let error = (2.0 * 0.25 / 4e6_f64).sqrt();
    let better = (4e6 * (0.5 + 2.0 * error)).round();
    let arms = [yes_or_no(2_000_000, 4_000_000), graded_count(better)];
    check(&suggested(&arms), &[0.0323, 0.9677], 1e-3);
    // On both sides of the limit the two ways agree.
    let around = [9_990, 10_010].map(|good| {
        let arms = [yes_or_no(good, 2 * good), yes_or_no(good + 100, 2 * good)];
        suggested(&arms)
    });
    check(&around[0], &around[1], 1e-3);
}

fn graded_count(good: f64) -> Rewards {
    yes_or_no(whole(good).unwrap().into(), 4_000_000)
}

#[test]
fn buckets_sum_to_one_and_keep_the_floor() {
    let thirds = round_to_buckets(&[1.0 / 3.0; 3], 10_000);
    assert_eq!(thirds, [0.3334, 0.3333, 0.3333]);
    assert_eq!(round_to_buckets(&[0.01, 0.99], 10_000), [0.01, 0.99]);
    assert_eq!(
        round_to_buckets(&[0.153_781_9, 0.846_218_1], 10_000),
        [0.1538, 0.8462]
    );
    let fine = round_to_buckets(&[0.153_781_9, 0.846_218_1], 1_000_000);
    assert_eq!(fine, [0.153_782, 0.846_218]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn weights_are_a_split_whatever_the_rewards(
        arms in prop::collection::vec((100_u64..3000, 0.0..=1.0_f64), 2..6),
        are_graded: bool,
        n_buckets in prop::sample::select(vec![10_000_u32, 1_000_000]),
    ) {
        let arms: Vec<_> = arms
            .into_iter()
            .map(|(n, rate)| match are_graded {
                true => graded(n, rate * 10.0 - 5.0, rate),
                false => yes_or_no(whole((n as f64 * rate).floor()).unwrap().into(), n),
            })
            .collect();
        let weights = round_to_buckets(&suggested(&arms), n_buckets);
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{weights:?}");
        for weight in &weights {
            prop_assert!((0.01 - 1e-9..=1.0).contains(weight), "{weights:?}");
            let buckets = weight * f64::from(n_buckets);
            prop_assert!((buckets - buckets.round()).abs() < 1e-6, "{weights:?}");
        }
    }

    #[test]
    fn of_two_arms_the_better_one_has_more_and_their_order_is_the_same(
        n in 100_u64..2000,
        goods in (0_u64..100, 0_u64..100),
    ) {
        let arms = [yes_or_no(goods.0, n), yes_or_no(goods.1, n)];
        let weights = suggested(&arms);
        let swapped = suggested(&[arms[1], arms[0]]);
        prop_assert!((weights[0] - swapped[1]).abs() < 1e-6, "{weights:?} {swapped:?}");
        let is_better = goods.0.cmp(&goods.1);
        let has_more = (weights[0] - weights[1]).abs() > 1e-6;
        prop_assert!(!has_more || is_better == weights[0].total_cmp(&weights[1]));
    }
}

/// Result of a simulated bandit.
struct BanditRun {
    weights: Vec<f64>,
    /// Good answers that an arm of the best rate would have given more.
    regret: f64,
    least_weight: f64,
}

/// Plays so many periods of 500 requests over arms with these rates of good answers.
fn play(rates: &[f64], n_periods: u32, seed: u64) -> BanditRun {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let best = rates.iter().copied().fold(0.0, f64::max);
    let mut seen = vec![yes_or_no(0, 0); rates.len()];
    let mut run = BanditRun {
        weights: vec![1.0 / rates.len() as f64; rates.len()],
        regret: 0.0,
        least_weight: 1.0,
    };
    for _ in 0..n_periods {
        for _ in 0..500 {
            let mut draw: f64 = random.random();
            let arm = run.weights.iter().position(|weight| {
                draw -= weight;
                draw < 0.0
            });
            let arm = arm.unwrap_or(0);
            let is_good = Binomial::new(1, rates[arm]).unwrap().sample(&mut random);
            seen[arm].moments.add(yes_or_no(is_good, 1).moments);
            run.regret += best - rates[arm];
        }
        if let Some(weights) = weights(&seen, &Bandit::default()) {
            run.weights = round_to_buckets(&weights, 10_000);
        }
        let least = run.weights.iter().copied().fold(1.0, f64::min);
        run.least_weight = run.least_weight.min(least);
    }
    run
}

#[test]
fn the_better_arm_ends_with_most_of_the_traffic_at_less_regret() {
    let (n_periods, n_runs) = (50, 20);
    let even = f64::from(n_periods) * 500.0 * (0.13 - 0.10) / 2.0;
    let runs: Vec<_> = (0..n_runs)
        .map(|seed| play(&[0.10, 0.13], n_periods, seed))
        .collect();
    let n_won = runs.iter().filter(|run| run.weights[1] > 0.9).count();
    assert!(n_won >= 18, "{n_won} of {n_runs} runs");
    let regret = runs.iter().map(|run| run.regret).sum::<f64>() / n_runs as f64;
    assert!(regret < even / 2.0, "{regret} of {even}");
}

#[test]
fn the_best_of_four_arms_is_found_and_a_bad_one_is_left() {
    let run = play(&[0.05, 0.20, 0.10, 0.05], 60, 3);
    assert!(run.weights[1] > 0.45, "{:?}", run.weights);
    assert!(
        run.weights[0] < 0.2 && run.weights[3] < 0.2,
        "{:?}",
        run.weights
    );
    let even = 60.0 * 500.0 * (0.15 + 0.10 + 0.15) / 4.0;
    assert!(run.regret < even, "{} of {even}", run.regret);
}

#[test]
fn equal_arms_never_starve() {
    for seed in 0..4 {
        let run = play(&[0.1, 0.1], 60, seed);
        assert!(run.least_weight >= 0.01, "{}", run.least_weight);
        let of_three = play(&[0.1; 3], 60, seed);
        assert!(of_three.least_weight >= 0.01, "{}", of_three.least_weight);
    }
}
