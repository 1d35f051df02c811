//! Error rates of the tests, with fixed seeds: evaluated after every block, each raises a false
//! alarm no more often than it promises.

use rand_distr::{Distribution, Normal};

use super::super::cusum::{Cusum, FixedRate};
use super::super::means::difference::{Effect, Moments};
use super::super::mismatch::{LN_LIMIT, Mismatch};
use super::super::output_bins::{Bin, OutputBins};
use super::super::two_sample::TwoSampleTest;
use super::super::*;
use super::simulation::Sampler;

const RUNS: u64 = 1000;
const BLOCKS: u64 = 50;
const ALPHA: f64 = 0.05;

/// Fails when more than `alpha` and three standard errors of the runs raise an alarm.
fn check_false_alarms(name: &str, alpha: f64, raises_alarm: impl Fn(&mut Sampler) -> bool) {
    let alarms = (0..RUNS)
        .filter(|&number| raises_alarm(&mut Sampler::new(number)))
        .count();
    let share = alarms as f64 / RUNS as f64;
    let most = alpha + 3.0 * (alpha * (1.0 - alpha) / RUNS as f64).sqrt();
    assert!(share <= most, "{name}: {share} of the runs, at most {most}");
}

#[test]
fn a_rate_seldom_leaves_its_interval() {
    let sequence = bernoulli::ConfidenceSequence {
        alpha: ALPHA,
        tuned_for: 500.0,
    };
    for p in [0.01, 0.3] {
        check_false_alarms("interval of a rate", ALPHA, |sampler| {
            let mut seen = Counts::default();
            (0..BLOCKS).any(|_| {
                seen.add(sampler.counts(20, p));
                let Interval { lower, upper } = sequence.interval(seen);
                p < lower || p > upper
            })
        });
    }
}

#[test]
fn a_rate_at_its_limit_seldom_raises_an_alarm() {
    check_false_alarms("one sample", ALPHA, |sampler| {
        let mut evidence = FixedRate::new(0.02);
        (0..BLOCKS).any(|_| {
            evidence.add_block(sampler.counts(100, 0.02));
            evidence.ln_e() >= -ALPHA.ln()
        })
    });
    check_false_alarms("cusum", ALPHA, |sampler| {
        let mut evidence = Cusum::new(0.02);
        (0..BLOCKS).any(|_| {
            evidence.add_block(sampler.counts(100, 0.02));
            evidence.ln_d() >= (BLOCKS as f64 / ALPHA).ln()
        })
    });
}

#[test]
fn equal_arms_seldom_look_different() {
    check_false_alarms("worse", ALPHA, |sampler| {
        let mut evidence = sprt::Sprt::default();
        (0..BLOCKS).any(|_| {
            evidence.add(&sprt::Sprt::of_block(
                sampler.arms(1000, 0.1, [0.02, 0.02]),
                1.0,
            ));
            evidence.ln_e() >= -ALPHA.ln()
        })
    });
    check_false_alarms("two streams", ALPHA, |sampler| {
        let mut evidence = TwoSampleTest::default();
        (0..BLOCKS).any(|_| {
            evidence.add_block(sampler.arms(1000, 0.1, [0.02, 0.02]));
            evidence.ln_e() >= -ALPHA.ln()
        })
    });
    check_false_alarms("output bins", ALPHA, |sampler| {
        let mut evidence = OutputBins::default();
        (0..BLOCKS).any(|_| {
            let first = sampler.arms(1000, 0.1, [0.4, 0.4]);
            let others = |counts: Counts| counts.n - counts.events;
            let bins = [
                Bin {
                    stable: first.stable.events,
                    candidate: first.candidate.events,
                },
                Bin {
                    stable: others(first.stable),
                    candidate: others(first.candidate),
                },
            ];
            evidence.add_block(&bins, 0.1);
            evidence.ln_e() >= -ALPHA.ln()
        })
    });
}

#[test]
fn a_split_that_works_seldom_raises_an_alarm() {
    check_false_alarms("mismatch", 0.001, |sampler| {
        let mut evidence = Mismatch::default();
        (0..BLOCKS).any(|block| {
            let weight = if block < BLOCKS / 2 { 0.05 } else { 0.5 };
            if block.is_multiple_of(BLOCKS / 2) {
                evidence.set_weight(weight);
            }
            let candidate = sampler.counts(1000, weight);
            evidence.add(candidate.n - candidate.events, candidate.events);
            evidence.ln_bf() >= LN_LIMIT
        })
    });
}

#[test]
fn equal_means_seldom_look_different() {
    let values = Normal::new(3.0, 2.0).unwrap();
    check_false_alarms("difference of means", ALPHA, |sampler| {
        let (mut a, mut b) = (Moments::default(), Moments::default());
        (0..BLOCKS).any(|_| {
            for arm in [&mut a, &mut b] {
                for _ in 0..20 {
                    let x: f64 = values.sample(&mut sampler.0);
                    arm.add(Moments {
                        n: 1,
                        sum: x,
                        sum_squares: x * x,
                    });
                }
            }
            let interval = Effect::absolute(a, b).unwrap().interval(ALPHA, 500.0);
            interval.lower > 0.0 || interval.upper < 0.0
        })
    });
}
