use rand_distr::{Distribution, LogNormal};

use super::*;
use crate::ArmCounts;
use crate::tests::simulation::Sampler;

const ALPHA: f64 = 0.05;

/// Returns the rewards of units with so many ones among them.
fn binary(counts: Counts) -> ArmRewards {
    let ones = counts.events as f64;
    let values = [0.0, 1.0].map(f64::to_bits);
    ArmRewards {
        moments: Moments {
            n: counts.n,
            sum: ones,
            sum_squares: ones,
        },
        values: values.to_vec(),
    }
}

fn add_binary(rewards: &mut Rewards, arms: ArmCounts, weight: f64) {
    rewards.add_block(&binary(arms.stable), &binary(arms.candidate), weight);
}

/// Rewards of which so many of so many are 1, at a weight of 10 %.
fn of_counts(stable: (u64, u64), candidate: (u64, u64)) -> Rewards {
    let counts = |(events, n)| Counts { n, events };
    let mut rewards = Rewards::default();
    let arms = ArmCounts {
        stable: counts(stable),
        candidate: counts(candidate),
    };
    add_binary(&mut rewards, arms, 0.1);
    rewards
}

/// Rewards as money usually is: most are small, and a few are large.
fn amounts(sampler: &mut Sampler, n: u64, factor: f64) -> ArmRewards {
    let distribution = LogNormal::new(0.0, 1.0).unwrap();
    let mut rewards = ArmRewards::default();
    for _ in 0..n {
        let amount: f64 = distribution.sample(&mut sampler.0);
        rewards.add(factor * amount);
    }
    rewards
}

fn of_amounts(n: u64, factor: f64) -> Rewards {
    let mut sampler = Sampler::new(1);
    let stable = amounts(&mut sampler, n, 1.0);
    let mut rewards = Rewards::default();
    rewards.add_block(&stable, &amounts(&mut sampler, n, factor), 0.5);
    rewards
}

/// The largest number of 1,000 tests in which an event of probability `ALPHA` happens by chance.
fn most() -> f64 {
    1000.0 * ALPHA + 3.0 * (1000.0 * ALPHA * (1.0 - ALPHA)).sqrt()
}

#[test]
fn binary_rewards_have_the_evidence_and_the_interval_of_the_reference() {
    let comparison = of_counts((70, 900), (30, 100)).comparison(ALPHA).unwrap();
    assert!((comparison.ln_e - 12.619229).abs() < 1e-6, "{comparison:?}");
    assert!(comparison.is_exact);
    let sequence = ConfidenceSequence {
        alpha: ALPHA / 2.0,
        tuned_for: 1000.0,
    };
    let interval = |events, n| sequence.interval(Counts { n, events });
    let (stable, candidate) = (interval(70, 900), interval(30, 100));
    assert_eq!(comparison.interval.lower, candidate.lower - stable.upper);
    assert_eq!(comparison.interval.upper, candidate.upper - stable.lower);

    let equal = of_counts((90, 900), (10, 100)).comparison(ALPHA).unwrap();
    assert!((equal.ln_e + 1.740040).abs() < 1e-6, "{equal:?}");
    assert_eq!((equal.p_value(), equal.difference), (1.0, 0.0));
}

#[test]
fn equal_binary_rewards_seldom_look_different_and_intervals_hold_the_difference() {
    let sequence = ConfidenceSequence {
        alpha: ALPHA / 2.0,
        tuned_for: TUNED_FOR,
    };
    for (weight, rate) in [0.5, 0.1, 0.05, 0.01]
        .into_iter()
        .flat_map(|weight| [0.01, 0.03, 0.3].map(|rate| (weight, rate)))
    {
        let (mut n_significant, mut n_missed) = (0, 0);
        for seed in 0..1000 {
            let mut sampler = Sampler::new(seed);
            let (mut rewards, mut seen) = (Rewards::default(), ArmCounts::default());
            let (mut is_significant, mut is_missed) = (false, false);
            for _ in 0..20 {
                let block = sampler.arms(500, weight, [rate; 2]);
                add_binary(&mut rewards, block, weight);
                seen.add(block);
                is_significant |= rewards.ln_e() >= -ALPHA.ln();
                // When both intervals hold the rate, that of the difference holds 0.
                let arms = [seen.stable, seen.candidate].into_iter();
                is_missed |= arms
                    .map(|arm| sequence.ln_m(rate, arm))
                    .any(|ln_m| ln_m >= (2.0 / ALPHA).ln());
            }
            n_significant += u32::from(is_significant);
            n_missed += u32::from(is_missed);
        }
        let n = f64::from(n_significant.max(n_missed));
        let failure = format!("{n_significant} and {n_missed} at {weight} and {rate}");
        assert!(n <= most(), "{failure}");
    }
}

#[test]
fn equal_amounts_seldom_look_different() {
    for weight in [0.5, 0.05] {
        let is_significant = |seed: &u64| {
            let mut sampler = Sampler::new(*seed);
            let mut rewards = Rewards::default();
            (0..10).any(|_| {
                let candidate = sampler.counts(700, weight).events;
                let stable = amounts(&mut sampler, 700 - candidate, 1.0);
                let candidate = amounts(&mut sampler, candidate, 1.0);
                rewards.add_block(&stable, &candidate, weight);
                let comparison = rewards.comparison(ALPHA);
                comparison.is_some_and(|found| found.p_value() <= ALPHA)
            })
        };
        let n_significant = (0..1000).filter(is_significant).count();
        assert!(
            n_significant as f64 <= most(),
            "{n_significant} at {weight}"
        );
    }
}

#[test]
fn other_rewards_need_300_units_and_30_different_values_in_each_arm() {
    assert_eq!(Rewards::default().comparison(ALPHA), None);
    assert_eq!(of_amounts(299, 1.0).comparison(ALPHA), None);
    let comparison = of_amounts(300, 1.0).comparison(ALPHA).unwrap();
    assert!(!comparison.is_exact && comparison.interval.lower < 0.0);

    let mut stars = ArmRewards::default();
    for unit in 0..1000_u32 {
        stars.add(f64::from(unit % 29));
    }
    let mut rewards = Rewards::default();
    rewards.add_block(&stars, &stars, 0.5);
    assert_eq!(rewards.comparison(ALPHA), None, "29 different values");
    assert!(!rewards.is_worse(0.5) && !rewards.is_not_worse(100.0, 0.5, 0));
}

#[test]
fn a_value_is_counted_once_and_negative_zero_is_zero() {
    let mut arm = ArmRewards::default();
    for reward in [0.0, -0.0, 1.0] {
        arm.add(reward);
    }
    let mut merged = arm.clone();
    merged.merge(&arm);
    assert_eq!(merged.binary(), Some(Counts { n: 6, events: 2 }));
    merged.add(0.5);
    assert_eq!(merged.binary(), None);
    assert_eq!(merged.values.len(), 3);
}

#[test]
fn lower_rewards_are_worse_and_higher_ones_are_not() {
    let lower = of_counts((270, 900), (5, 100));
    assert!(lower.is_worse(0.001));
    assert!(!of_counts((270, 900), (60, 100)).is_worse(0.5));
    assert!(of_amounts(2000, 0.8).is_worse(0.01));
    assert!(!of_amounts(2000, 1.25).is_worse(0.5));
}

#[test]
fn not_worse_needs_a_small_difference_and_enough_units() {
    let equal = of_counts((2700, 9000), (300, 1000));
    assert!(equal.is_not_worse(0.1, 0.05, 1000));
    assert!(!equal.is_not_worse(0.1, 0.05, 1001), "too few units");
    assert!(!equal.is_not_worse(0.02, 0.05, 0), "not sure enough");
    let amounts = of_amounts(5000, 1.0);
    assert!(amounts.is_not_worse(0.3, 0.05, 0));
    assert!(!amounts.is_not_worse(0.001, 0.05, 0));
}

#[test]
fn candidates_at_the_limit_are_seldom_called_not_worse() {
    let passes = |seed: &u64| {
        let mut sampler = Sampler::new(*seed);
        let mut rewards = Rewards::default();
        (0..10).any(|_| {
            add_binary(&mut rewards, sampler.arms(1000, 0.2, [0.3, 0.25]), 0.2);
            rewards.is_not_worse(0.05, ALPHA, 100)
        })
    };
    let n_passed = (0..1000).filter(passes).count();
    assert!(n_passed as f64 <= most(), "{n_passed}");
}
