//! The reference vectors of every statistic.

pub(crate) mod simulation;
mod validity;

use proptest::prelude::*;
use rand::SeedableRng;

use super::best_arm::{
    MeanPosterior, Posterior, probability_better, probability_higher, top_two_weights,
    top_two_weights_of_means, with_floor,
};
use super::cusum::{Cusum, FixedRate};
use super::means::difference::{Effect, Moments, TUNED_FOR};
use super::means::{empirical_bernstein::EmpiricalBernstein, ln_msprt, normal_mixture};
use super::mismatch::{chi_square, ln_bayes_factor};
use super::non_inferiority::NonInferiorityTest;
use super::output_bins::{Bin, OutputBins};
use super::sprt::Sprt;
use super::*;

/// Compares `(name, computed, expected)` rows to a tolerance and reports every row that fails.
fn check(tolerance: f64, rows: &[(impl AsRef<str>, f64, f64)]) {
    let failing: Vec<_> = rows
        .iter()
        .filter(|(_, computed, expected)| {
            (computed - expected).abs() > tolerance || computed.is_nan()
        })
        .map(|(name, computed, expected)| {
            format!(
                "{}: computed {computed}, expected {expected}",
                name.as_ref()
            )
        })
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

fn counts(events: u64, n: u64) -> Counts {
    Counts { n, events }
}

/// A block in which the candidate's share of the requests is `w`, a whole number of percent.
fn block(candidate_events: u64, stable_events: u64, w: f64) -> ArmCounts {
    let is_share = |percent: &u32| (f64::from(*percent) / 100.0 - w).abs() < 1e-9;
    let percent = u64::from((1..100).find(is_share).unwrap());
    ArmCounts {
        stable: counts(stable_events, (100 - percent) * 1_000_000),
        candidate: counts(candidate_events, percent * 1_000_000),
    }
}

#[test]
fn the_sprt_has_the_values_of_the_reference() {
    let ln_e = |blocks: &[(u64, u64, f64)], ratio: f64| {
        let mut evidence = Sprt::default();
        for &(candidate, all, w) in blocks {
            evidence.add(&Sprt::of_block(block(candidate, all - candidate, w), ratio));
        }
        evidence.ln_e()
    };
    check(
        1e-6,
        &[
            ("7 of 7, .5", ln_e(&[(7, 7, 0.5)], 1.0), 3.786443),
            ("3 of 3, .05", ln_e(&[(3, 3, 0.05)], 1.0), 6.776487),
            ("5 of 6, .1", ln_e(&[(5, 6, 0.1)], 1.0), 7.570244),
            ("20 of 100, .1", ln_e(&[(20, 100, 0.1)], 1.0), 2.938195),
            ("10 of 100, .1", ln_e(&[(10, 100, 0.1)], 1.0), -1.815637),
            ("0 of 50, .1", ln_e(&[(0, 50, 0.1)], 1.0), -3.029355),
            (
                "20 of 100, .1, r = 2",
                ln_e(&[(20, 100, 0.1)], 2.0),
                -1.591129,
            ),
            (
                "three blocks",
                ln_e(&[(1, 5, 0.01), (2, 5, 0.05), (4, 10, 0.1)], 1.0),
                5.885801,
            ),
            (
                "discordant pairs 12 vs 3",
                ln_e(&[(12, 15, 0.5)], 1.0),
                1.985359,
            ),
            (
                "slow 7 of 7 and 0 of 3",
                ln_e(&[(7, 7, 0.5)], 1.0),
                3.786443,
            ),
        ],
    );
    let p_value = (-ln_e(&[(7, 7, 0.5)], 1.0)).exp();
    check(5e-5, &[("p of 7 of 7", p_value, 0.0227)]);
}

#[test]
fn events_are_evidence_at_the_configured_weight_whatever_the_requests() {
    let ln_e = |weight, ratio| Sprt::of_events(20, 80, weight, ratio).ln_e();
    let mut not_worse = NonInferiorityTest::default();
    not_worse.add_events(20, 80, 0.1, 2.0);
    check(
        1e-6,
        &[
            ("worse", ln_e(0.1, 1.0), 2.938195),
            ("worse, r = 2", ln_e(0.1, 2.0), -1.591129),
            ("not worse", not_worse.ln_n(), -2.241784),
            ("no traffic for the candidate", ln_e(0.0, 1.0), 0.0),
            ("all traffic for the candidate", ln_e(1.0, 2.0), 0.0),
        ],
    );
}

#[test]
fn the_grid_agrees_with_the_closed_form_of_a_uniform_prior() {
    let closed = |c: f64, m: f64, w: f64| {
        use statrs::function::beta::beta_reg;
        ln_beta(1.0 + c, 1.0 + m - c) - c * w.ln() - (m - c) * (1.0 - w).ln()
            + (1.0 - beta_reg(1.0 + c, 1.0 + m - c, w)).ln()
            - (1.0 - w).ln()
    };
    let values = [
        ("8 of 10", closed(8.0, 10.0, 0.5), 1.386799),
        ("3 of 3", closed(3.0, 3.0, 0.05), 7.652190),
    ];
    check(1e-6, &values);
    let grid = [(8, 10, 0.5), (3, 3, 0.05), (20, 100, 0.1)].map(|(c, m, w)| {
        let ln_e = Sprt::of_block(block(c, m - c, w), 1.0).ln_e();
        (format!("{c} of {m}"), ln_e, closed(c as f64, m as f64, w))
    });
    check(1.2, &grid);
}

#[test]
fn the_non_inferiority_test_has_the_values_of_the_reference() {
    let ln_n = |candidate: u64, all: u64, w: f64, ratio: f64| {
        let mut evidence = NonInferiorityTest::default();
        evidence.add_block(block(candidate, all - candidate, w), ratio);
        evidence.ln_n()
    };
    check(
        1e-6,
        &[
            ("2 of 20, .1, 3", ln_n(2, 20, 0.1, 3.0), 1.058724),
            ("10 of 100, .1, 2", ln_n(10, 100, 0.1, 2.0), 1.747369),
            ("0 of 10, .1, 3", ln_n(0, 10, 0.1, 3.0), 1.796106),
            ("20 of 100, .1, 2", ln_n(20, 100, 0.1, 2.0), -2.241784),
            ("5 of 20, .5, 2", ln_n(5, 20, 0.5, 2.0), 6.179807),
        ],
    );
}

#[test]
fn the_bernoulli_sequence_has_the_values_of_the_reference() {
    let at = |alpha, tuned_for| bernoulli::ConfidenceSequence { alpha, tuned_for };
    let (short, long) = (at(0.05, 100.0), at(0.05, 1000.0));
    let both = at(0.0125, 1000.0);
    check(
        1.0001e-7,
        &[
            ("10/100 lower", short.lower(counts(10, 100)), 0.0302383),
            ("10/100 upper", short.upper(counts(10, 100)), 0.2120187),
            ("0/50 lower", short.lower(counts(0, 50)), 0.0),
            ("0/50 upper", short.upper(counts(0, 50)), 0.0929808),
            ("500/1000 lower", long.lower(counts(500, 1000)), 0.4520916),
            ("500/1000 upper", long.upper(counts(500, 1000)), 0.5479084),
            ("0/300", long.upper(counts(0, 300)), 0.0201283),
            ("0/500", long.upper(counts(0, 500)), 0.0099718),
            ("0/1000", long.upper(counts(0, 1000)), 0.0041222),
            ("0/2000", long.upper(counts(0, 2000)), 0.0018188),
            ("candidate 2/1000", both.upper(counts(2, 1000)), 0.0111446),
            ("stable 45/9000", both.lower(counts(45, 9000)), 0.0026627),
            (
                "shadow 2/500",
                at(0.05, 500.0).upper(counts(2, 500)),
                0.0185438,
            ),
            (
                "shadow 5/500",
                at(0.05, 500.0).upper(counts(5, 500)),
                0.0292197,
            ),
            ("all events", long.upper(counts(9, 9)), 1.0),
            ("nothing", long.upper(counts(0, 0)), 1.0),
        ],
    );
    check(
        1e-6,
        &[("ln M(.1)", short.ln_m(0.1, counts(20, 100)), 2.586472)],
    );
}

#[test]
fn fixed_rate_and_cusum_have_the_values_of_the_reference() {
    let ln_e = |p0, events, n| {
        let mut evidence = FixedRate::new(p0);
        evidence.add_block(counts(events, n));
        evidence.ln_e()
    };
    let mut cusum = Cusum::new(0.01);
    let trajectory = [1, 0, 2, 5, 6, 7].map(|events| {
        cusum.add_block(counts(events, 100));
        cusum.ln_d()
    });
    let expected = [
        -0.815567, -1.310514, -0.199444, 3.022422, 8.245298, 15.495435,
    ];
    let mut rows = vec![
        ("10/100".to_owned(), ln_e(0.02, 10, 100), 6.798740),
        ("5/100".to_owned(), ln_e(0.02, 5, 100), 0.752223),
        ("0/100".to_owned(), ln_e(0.02, 0, 100), -1.849640),
        ("30/500".to_owned(), ln_e(0.02, 30, 500), 11.532424),
        ("20/500".to_owned(), ln_e(0.02, 20, 500), 2.571129),
        ("3/3".to_owned(), ln_e(0.005, 3, 3), 11.763845),
        ("no usable ratio".to_owned(), ln_e(0.9, 3, 3), 0.0),
    ];
    for (index, (computed, expected)) in trajectory.into_iter().zip(expected).enumerate() {
        rows.push((format!("block {index}"), computed, expected));
    }
    check(1e-6, &rows);
}

#[test]
fn output_bins_have_the_values_of_the_reference() {
    let one_bin = |candidate: u64| {
        let mut log_ratios = [0.0; sprt::TWO_SIDED];
        let grid = sprt::two_sided_grid();
        sprt::add_events(&mut log_ratios, &grid, (candidate, 100 - candidate), 0.1);
        ln_mean_exp(&log_ratios)
    };
    let bin = |stable, candidate| Bin { stable, candidate };
    let block = [bin(240, 60), bin(380, 20), bin(280, 20)];
    // The third bin is the one for all others.
    let mut bins = OutputBins::frozen(&[9, 9]);
    bins.add_block(&block, 0.1);
    let mut mostly_empty = OutputBins::frozen(&[1; 31]);
    mostly_empty.add_block(&block, 0.1);
    check(
        1e-6,
        &[
            ("30 of 100", one_bin(30), 12.619229),
            ("10 of 100", one_bin(10), -1.740040),
            ("three bins", bins.ln_e(), 9.315238),
            ("distance", bins.distance(), 0.285473),
            ("nothing", OutputBins::default().ln_e(), 0.0),
            ("distance of nothing", OutputBins::default().distance(), 0.0),
        ],
    );
    check(
        5e-4,
        &[
            ("32 bins", mostly_empty.ln_e(), 6.949),
            ("distance in 32 bins", mostly_empty.distance(), 0.153),
        ],
    );
}

#[test]
fn output_bins_are_learned_from_stable_and_then_stay() {
    let bin = |stable, candidate| Bin { stable, candidate };
    let mut bins = OutputBins::default();
    bins.add_block(&[bin(150, 0), bin(0, 20)], 0.1);
    bins.add_block(&[bin(40, 0), bin(0, 20), bin(10, 0)], 0.1);
    assert_eq!(
        bins.ln_e(),
        0.0,
        "the outputs that are learned are not compared"
    );
    assert_eq!(bins.total(), Bin::default());
    let mut expected = OutputBins::frozen(&[190, 0, 10]);
    assert_eq!(bins, expected);
    bins.add_block(&[bin(90, 1), bin(0, 5), bin(9, 1), bin(0, 3)], 0.1);
    expected.add_block(&[bin(90, 1), bin(0, 8), bin(9, 1)], 0.1);
    assert_eq!(bins, expected, "bins that stable did not use are one bin");
    assert_eq!(bins.total(), bin(99, 10));
}

#[test]
fn the_mismatch_has_the_values_of_the_reference() {
    let fixed = |counts: &[u64], weights: &[f64]| chi_square(counts, weights).unwrap();
    let of_all = [
        (fixed(&[821588, 815482], &[1.0, 1.0]), 22.774369, 1.8218e-6),
        (fixed(&[5100, 4900], &[1.0, 1.0]), 4.0, 0.0455003),
        (fixed(&[9000, 1100], &[9.0, 1.0]), 8.910891, 0.00283475),
        (
            fixed(&[300, 275, 306], &[0.3, 0.3, 0.4]),
            11.364737,
            0.00340548,
        ),
        (
            fixed(&[300, 275, 0, 306], &[0.3, 0.3, 0.0, 0.4]),
            11.364737,
            0.00340548,
        ),
    ];
    let statistics = of_all.map(|(found, statistic, _)| ("X2", found.statistic, statistic));
    check(1e-6, &statistics);
    let p_values = of_all.map(|(found, _, p)| ("relative p", found.p_value / p, 1.0));
    check(2e-5, &p_values);
    assert_eq!(chi_square(&[5, 7], &[1.0, 0.0]), None);
}

#[test]
fn the_sequential_mismatch_has_the_values_of_the_reference() {
    check(
        1e-6,
        &[
            (
                "1000, 1200",
                ln_bayes_factor(&[1000, 1200], &[0.5, 0.5], 100.0),
                7.140302,
            ),
            (
                "1000, 1100",
                ln_bayes_factor(&[1000, 1100], &[0.5, 0.5], 100.0),
                0.726637,
            ),
            (
                "5000, 5000",
                ln_bayes_factor(&[5000, 5000], &[0.5, 0.5], 100.0),
                -2.310035,
            ),
            (
                "9000, 1200",
                ln_bayes_factor(&[9000, 1200], &[0.9, 0.1], 100.0),
                14.247035,
            ),
            (
                "980, 20",
                ln_bayes_factor(&[980, 20], &[0.99, 0.01], 100.0),
                2.030476,
            ),
            (
                "c = 10000",
                ln_bayes_factor(&[1000, 1200], &[0.5, 0.5], 10000.0),
                1.540122,
            ),
        ],
    );
    check(
        1e-4,
        &[(
            "9000, 1000",
            ln_bayes_factor(&[9000, 1000], &[0.9, 0.1], 100.0),
            -2.3159,
        )],
    );
}

#[test]
fn a_change_of_weights_adds_the_evidence_of_the_segments() {
    let mut mismatch = mismatch::Mismatch::default();
    mismatch.add(500, 0);
    let before_any_split = mismatch.ln_bf();
    mismatch.set_weight(0.1);
    mismatch.add(9000, 1200);
    mismatch.set_weight(0.5);
    mismatch.add(1000, 1100);
    let expected = 14.247035 + 0.726637;
    check(
        1e-5,
        &[
            ("two segments", mismatch.ln_bf(), expected),
            ("none", before_any_split, 0.0),
        ],
    );
}

#[test]
fn the_difference_of_means_has_the_values_of_the_reference() {
    let a = Moments {
        n: 3000,
        sum: 1396.87,
        sum_squares: 52377.9767,
    };
    let b = Moments {
        n: 3461,
        sum: 2422.7,
        sum_squares: 134698.29,
    };
    let relative = Effect::relative(a, b).unwrap();
    let absolute = Effect::absolute(a, b).unwrap();
    let (two, early) = (
        relative.interval(0.05, TUNED_FOR),
        relative.interval(0.05, 1000.0),
    );
    let (one, plain) = (
        relative.one_sided(0.05, TUNED_FOR),
        absolute.interval(0.05, TUNED_FOR),
    );
    let plain_one = absolute.one_sided(0.05, TUNED_FOR);
    check(
        1e-5,
        &[
            ("relative", relative.estimate, 0.50336),
            ("lower", two.lower, -0.50972),
            ("upper", two.upper, 1.51644),
            ("lower, N* = 1000", early.lower, -0.55844),
            ("upper, N* = 1000", early.upper, 1.56516),
        ],
    );
    check(
        1e-6,
        &[
            ("one-sided lower", one.lower, -0.4235645),
            ("one-sided upper", one.upper, 1.4302867),
            ("absolute", absolute.estimate, 0.2343767),
            ("absolute lower", plain.lower, -0.1601165),
            ("absolute upper", plain.upper, 0.6288699),
            ("absolute one-sided lower", plain_one.lower, -0.1265684),
            ("absolute one-sided upper", plain_one.upper, 0.5953218),
            ("p", absolute.p_value(0.05, TUNED_FOR), 0.7601250),
        ],
    );
    assert_eq!(Effect::absolute(a, Moments::default()), None);
}

#[test]
fn the_other_means_have_the_values_of_the_reference() {
    let rho = normal_mixture::rho(100.0, 0.05);
    let rho_one = normal_mixture::rho(100.0, 0.1);
    let mut bernstein = EmpiricalBernstein::new(0.05);
    for i in 0..200_u32 {
        bernstein.add(f64::from(7 * i % 10) / 10.0);
    }
    let interval = bernstein.interval();
    check(
        1e-5,
        &[
            ("rho", rho, 12.60056),
            ("bound", normal_mixture::bound(100.0, rho, 0.05), 30.35209),
            (
                "one-sided bound",
                normal_mixture::bound_one_sided(100.0, rho_one, 0.05),
                27.66071,
            ),
            (
                "msprt .15",
                ln_msprt(1000, 0.15, 1.0, 0.01).exp(),
                44.328166,
            ),
        ],
    );
    check(
        1e-6,
        &[
            ("ln M", normal_mixture::ln_m(100.0, 10.0, rho), -0.6510052),
            (
                "one-sided",
                normal_mixture::ln_m_one_sided(100.0, 10.0, rho_one),
                -0.06502391,
            ),
            ("lower", interval.lower, 0.3777932),
            ("upper", interval.upper, 0.5231490),
            ("msprt .1", ln_msprt(1000, 0.1, 1.0, 0.01).exp(), 3.278722),
        ],
    );
}

#[test]
fn the_two_sample_test_and_false_discovery_have_the_values_of_the_reference() {
    let block = ArmCounts {
        stable: counts(1, 10),
        candidate: counts(4, 10),
    };
    check(
        1e-6,
        &[(
            "two streams",
            two_sample::ln_e_of_block(block, 0.1, 0.3),
            1.187572,
        )],
    );
    let ln_e_values = [15.0_f64, 200.0, 3.0, 30.0].map(f64::ln);
    assert_eq!(false_discovery::rejected(&ln_e_values, 0.1), [1, 3, 0]);
    assert_eq!(false_discovery::rejected(&[], 0.1), [0_usize; 0]);
}

#[test]
fn the_two_sample_test_learns_from_earlier_blocks_only() {
    let mut streams = two_sample::TwoSampleTest::default();
    let block = ArmCounts {
        stable: counts(1, 100),
        candidate: counts(40, 100),
    };
    streams.add_block(block);
    assert_eq!(streams.ln_e(), 0.0);
    streams.add_block(block);
    assert!(streams.ln_e() > 20.0, "{}", streams.ln_e());
}

#[test]
fn the_best_arm_has_the_values_of_the_reference() {
    let a = Posterior {
        alpha: 11,
        beta: 91,
    };
    let b = Posterior {
        alpha: 16,
        beta: 86,
    };
    let better = probability_better(b, a);
    check(
        1e-6,
        &[
            ("P(B > A)", better, 0.8532838),
            ("weight", with_floor(better, 2, 0.01), 0.8462181),
            ("equal arms", probability_better(a, a), 0.5),
        ],
    );
}

#[test]
fn whichever_count_is_the_least_the_probability_is_the_same() {
    let arm = |alpha, beta| Posterior { alpha, beta };
    let opposite = |arm: Posterior| Posterior {
        alpha: arm.beta,
        beta: arm.alpha,
    };
    for (a, b) in [
        (arm(11, 91), arm(16, 86)),
        (arm(300, 2), arm(200, 4)),
        (arm(40, 41), arm(3, 500)),
    ] {
        let better = probability_better(b, a);
        check(
            1e-9,
            &[
                ("the other way", 1.0 - probability_better(a, b), better),
                (
                    "of failures",
                    probability_better(opposite(a), opposite(b)),
                    better,
                ),
            ],
        );
    }
}

#[test]
fn large_counts_are_compared_as_normal_ones_without_a_step() {
    let better = |n: u32| {
        let arm = |alpha| Posterior { alpha, beta: n };
        probability_better(arm(n + n / 100), arm(n))
    };
    check(1e-3, &[("at the limit", better(10_001), better(10_000))]);
    let certain = |alpha, beta| Posterior { alpha, beta };
    let (low, high) = (
        certain(u32::MAX / 2, u32::MAX),
        certain(u32::MAX, u32::MAX / 2),
    );
    check(
        1e-12,
        &[
            ("better", probability_better(high, low), 1.0),
            ("worse", probability_better(low, high), 0.0),
        ],
    );
}

#[test]
fn means_are_compared_by_their_distance() {
    let arm = |mean, variance| MeanPosterior { mean, variance };
    let higher = |b, a| probability_higher(b, a);
    check(
        1e-6,
        &[
            (
                "1.96 errors",
                higher(arm(1.959964, 0.5), arm(0.0, 0.5)),
                0.975,
            ),
            (
                "the other way",
                higher(arm(0.0, 0.5), arm(1.959964, 0.5)),
                0.025,
            ),
            ("equal", higher(arm(2.0, 0.1), arm(2.0, 0.3)), 0.5),
            ("certain", higher(arm(2.1, 0.0), arm(2.0, 0.0)), 1.0),
            (
                "certain and equal",
                higher(arm(2.0, 0.0), arm(2.0, 0.0)),
                0.5,
            ),
        ],
    );
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(1);
    let arms = [arm(1.0, 0.01), arm(3.0, 0.01), arm(2.0, 0.01)];
    let weights = top_two_weights_of_means(&arms, 1000, &mut random);
    check(
        1e-9,
        &[
            ("worst", weights[0], 0.0),
            ("best", weights[1], 0.5),
            ("second", weights[2], 0.5),
        ],
    );
    let broken = [arm(1.0, f64::NAN), arm(2.0, 1.0), arm(3.0, 1.0)];
    let weights = top_two_weights_of_means(&broken, 1000, &mut random);
    assert!(weights.is_empty(), "{weights:?}");
}

#[test]
fn draws_agree_with_the_exact_probability() {
    let arms = [(11, 91), (16, 86), (1, 10_000)].map(|(alpha, beta)| Posterior { alpha, beta });
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(1);
    let weights = top_two_weights(&arms, 10_000, &mut random);
    // The third arm is never among the two best, so both others are first or second always.
    check(
        1e-9,
        &[
            ("first", weights[0], 0.5),
            ("second", weights[1], 0.5),
            ("third", weights[2], 0.0),
        ],
    );
}

proptest! {
    #[test]
    fn evidence_of_replicas_sums_to_that_of_one_stream(
        blocks in prop::collection::vec((0_u64..20, 0_u64..200, 0_u64..20, 0_u64..200, 0_usize..3), 0..40)
    ) {
        let mut one = Sprt::default();
        let mut replicas = [Sprt::default(); 3];
        for (k_c, n_c, k_s, n_s, replica) in blocks {
            let block = ArmCounts {
                stable: counts(k_s.min(n_s), n_s),
                candidate: counts(k_c.min(n_c), n_c),
            };
            let evidence = Sprt::of_block(block, 1.0);
            one.add(&evidence);
            replicas[replica].add(&evidence);
        }
        let mut merged = Sprt::default();
        for replica in &replicas {
            merged.add(replica);
        }
        prop_assert!((merged.ln_e() - one.ln_e()).abs() < 1e-9);
    }

    #[test]
    fn a_rate_is_always_inside_its_own_interval(n in 0_u64..100_000, per_mille in 0_u64..=1000) {
        let counts = Counts { n, events: n * per_mille / 1000 };
        let sequence = bernoulli::ConfidenceSequence { alpha: 0.0125, tuned_for: 1000.0 };
        let Interval { lower, upper } = sequence.interval(counts);
        prop_assert!((0.0..=1.0).contains(&lower) && (0.0..=1.0).contains(&upper));
        if let Some(rate) = counts.rate() {
            prop_assert!(lower <= rate && rate <= upper, "{lower} {rate} {upper}");
            prop_assert!(sequence.is_at_most((upper + 1e-9).min(1.0), counts));
            prop_assert!(upper < 1e-9 || !sequence.is_at_most(upper - 1e-9, counts));
        }
    }

    #[test]
    fn evidence_is_finite_whatever_the_counts(
        k_c in 0_u64..1_000_000_000, n_c in 0_u64..1_000_000_000, k_s in 0_u64..1_000_000_000, n_s in 0_u64..1_000_000_000
    ) {
        let block = ArmCounts { stable: counts(k_s.min(n_s), n_s), candidate: counts(k_c.min(n_c), n_c) };
        let mut non_inferiority = NonInferiorityTest::default();
        non_inferiority.add_block(block, 2.0);
        let mut cusum = Cusum::new(0.1);
        cusum.add_block(block.candidate);
        for value in [Sprt::of_block(block, 1.0).ln_e(), non_inferiority.ln_n(), cusum.ln_d()] {
            prop_assert!(value.is_finite(), "{value}");
        }
    }
}
