//! The report of a split: its arms side by side, with the significance of their differences.
//!
//! Rule: every other arm is compared with the first, by the rate of errors and by the mean reward.
//! Intervals and p-values are always valid, so the report may be watched; e-BH decides which of all
//! differences are significant. Before the variance of an error rate is estimated, each arm gets
//! one request that failed and one that did not (Agresti and Caffo), or three failures of three
//! requests would be certainty. Rewards are compared from 30 of each arm on.

use contract::{ArmResult, Comparison, Difference, SampleRatio};
use stats::arm_totals::ArmTotals;
use stats::means::difference::{Effect, Moments, TUNED_FOR};
use stats::{false_discovery, mismatch};

use super::active_split::ActiveSplit;

/// Significance level: one error in twenty.
const ALPHA: f64 = 0.05;

/// Lowest number of rewards for a useful estimate of their variance.
const MIN_REWARDS: u64 = 30;

/// Report of a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) results: Vec<ArmResult>,
    pub(super) comparison: Vec<Comparison>,
    pub(super) sample_ratio: Option<SampleRatio>,
}

/// A difference whose significance is not decided yet.
struct TestedDifference {
    difference: Difference,
    ln_e: f64,
}

/// Builds the report of a split.
pub(super) fn report(active: &ActiveSplit) -> Report {
    let arms = active.split().arms.iter().zip(active.arms());
    let arms: Vec<_> = arms
        .map(|(arm, active_arm)| (arm.name.as_str(), active_arm.counters.totals()))
        .collect();
    let results = active.arms().iter().zip(&arms).zip(active.weights());
    let results =
        results.map(|((active_arm, (name, _)), weight)| active_arm.counters.result(name, *weight));
    let ln_bf = active.ln_mismatch();
    Report {
        results: results.collect(),
        comparison: compare(&arms),
        sample_ratio: Some(SampleRatio {
            ln_bf,
            limit: mismatch::LN_LIMIT,
            is_mismatch: ln_bf >= mismatch::LN_LIMIT,
        }),
    }
}

fn compare(arms: &[(&str, ArmTotals)]) -> Vec<Comparison> {
    let Some(((with, first), others)) = arms.split_first() else {
        return Vec::new();
    };
    let differences: Vec<_> = others
        .iter()
        .flat_map(|(_, totals)| [error_rate(first, totals), reward(first, totals)])
        .collect();
    let known: Vec<_> = differences.iter().flatten().map(|one| one.ln_e).collect();
    let mut rejected = false_discovery::rejected(&known, ALPHA);
    rejected.sort_unstable();
    let mut known = 0;
    let mut next = differences.into_iter().map(|tested| {
        let mut difference = tested?.difference;
        difference.is_significant = rejected.binary_search(&known).is_ok();
        known += 1;
        Some(difference)
    });
    let mut comparison = Vec::with_capacity(others.len());
    for (arm, _) in others {
        comparison.push(Comparison {
            arm: (*arm).to_owned(),
            with: (*with).to_owned(),
            error_rate: next.next().flatten(),
            reward: next.next().flatten(),
        });
    }
    comparison
}

fn error_rate(a: &ArmTotals, b: &ArmTotals) -> Option<TestedDifference> {
    let rate = |arm: &ArmTotals| {
        let n = arm.n_answered + arm.n_errors;
        (n > 0).then(|| arm.n_errors as f64 / n as f64)
    };
    let estimate = rate(b)? - rate(a)?;
    let effect = Effect::absolute(failures(a), failures(b))?;
    Some(tested(estimate, effect))
}

/// Returns the moments of the failures, with one failure and one success added.
fn failures(arm: &ArmTotals) -> Moments {
    let failed = (arm.n_errors + 1) as f64;
    Moments {
        n: arm.n_answered + arm.n_errors + 2,
        sum: failed,
        sum_squares: failed,
    }
}

fn reward(a: &ArmTotals, b: &ArmTotals) -> Option<TestedDifference> {
    let (a, b) = (a.rewards, b.rewards);
    let effect = Effect::absolute(a, b).filter(|_| a.n.min(b.n) >= MIN_REWARDS)?;
    Some(tested(effect.estimate, effect))
}

fn tested(estimate: f64, effect: Effect) -> TestedDifference {
    let ln_e = effect.ln_e(ALPHA, TUNED_FOR);
    // Nothing differs and nothing varies: no evidence.
    let ln_e = if ln_e.is_nan() { 0.0 } else { ln_e };
    let interval = effect.interval(ALPHA, TUNED_FOR);
    TestedDifference {
        difference: Difference {
            estimate,
            lower: interval.lower,
            upper: interval.upper,
            p_value: (-ln_e).exp().min(1.0),
            is_significant: false,
        },
        ln_e,
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::{ArmCounters, Outcome};
    use super::*;

    use std::time::Duration;

    use contract::Code;

    /// An arm with so many answers, errors, and rewards of 1 among all rewards.
    fn arm(n_answered: u64, n_errors: u64, (n_good, n_rewards): (u64, u64)) -> ArmTotals {
        let counts = ArmCounters::default();
        let ends = (0..n_answered).map(|_| None);
        for error in ends.chain((0..n_errors).map(|_| Some(Code::EngineFailed))) {
            counts.record(&Outcome {
                error,
                latency: Duration::from_millis(1),
                timings: None,
                outputs: &[],
                unit: None,
            });
        }
        for reward in 0..n_rewards {
            counts.record_reward(f64::from(u8::from(reward < n_good)));
        }
        counts.totals()
    }

    #[test]
    fn large_differences_are_significant() {
        let arms = [
            ("control", arm(2000, 10, (500, 1000))),
            ("same", arm(2000, 12, (510, 1000))),
            ("better", arm(2000, 10, (800, 1000))),
            ("failing", arm(1500, 500, (0, 3))),
        ];
        let comparison = compare(&arms);
        let stand = |difference: Option<Difference>| difference.map(|one| one.is_significant);
        let shown: Vec<_> = comparison
            .iter()
            .map(|one| (one.arm.as_str(), stand(one.error_rate), stand(one.reward)))
            .collect();
        let expected = [
            ("same", Some(false), Some(false)),
            ("better", Some(false), Some(true)),
            ("failing", Some(true), None),
        ];
        assert_eq!(shown, expected);
        let reward = comparison[1].reward.unwrap();
        assert!((reward.estimate - 0.3).abs() < 1e-9, "{reward:?}");
        assert!(reward.lower > 0.2 && reward.upper < 0.4, "{reward:?}");
        assert!(reward.p_value < 1e-6, "{reward:?}");
    }

    #[test]
    fn few_requests_are_never_significant() {
        let empty = [("a", arm(0, 0, (0, 0))), ("b", arm(10, 0, (0, 0)))];
        assert_eq!(compare(&empty)[0].error_rate, None);
        let handful = [("a", arm(1000, 0, (0, 30))), ("b", arm(0, 1, (0, 30)))];
        let comparison = &compare(&handful)[0];
        let error_rate = comparison.error_rate.unwrap();
        assert!(!error_rate.is_significant, "{error_rate:?}");
        assert!((error_rate.estimate - 1.0).abs() < 1e-9, "{error_rate:?}");
        let reward = comparison.reward.unwrap();
        assert_eq!((reward.estimate, reward.p_value), (0.0, 1.0));
        assert!(!reward.is_significant, "{reward:?}");
        assert_eq!(compare(&[]), []);
    }

    #[test]
    fn rewards_that_never_vary_may_still_differ() {
        let arms = [("a", arm(0, 0, (0, 40))), ("b", arm(0, 0, (40, 40)))];
        let reward = compare(&arms)[0].reward.unwrap();
        assert!(reward.is_significant && reward.p_value < 1e-9, "{reward:?}");
    }
}
