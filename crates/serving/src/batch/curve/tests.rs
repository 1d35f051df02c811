//! The curve against known costs.

use super::*;

const fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Creates a curve from one run of each size, with a fixed cost per run and a cost per row.
fn affine(fixed: u64, per_row: u64, sizes: &[usize]) -> Curve {
    let mut curve = Curve::default();
    for &size in sizes {
        let rows = u64::try_from(size).unwrap();
        curve.observe(size, micros(fixed + per_row * rows));
    }
    curve
}

fn is_near(got: Option<Duration>, expected: Duration) -> bool {
    got.is_some_and(|got| got.abs_diff(expected) < Duration::from_nanos(10))
}

#[test]
fn sizes_that_never_ran_lie_on_the_line_between_those_that_did() {
    let curve = affine(2000, 100, &[1, 4, 32]);
    let mut failures = Vec::new();
    for (rows, expected) in [(1, 2100), (2, 2200), (3, 2300), (17, 3700), (100, 12_000)] {
        let got = curve.time(rows);
        if !is_near(got, micros(expected)) {
            failures.push(format!("{rows} rows: {got:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(Curve::default().time(1), None);
}

#[test]
fn one_point_costs_in_proportion_above_and_the_same_below() {
    let curve = affine(0, 100, &[8]);
    assert!(is_near(curve.time(16), micros(1600)));
    assert!(is_near(curve.time(2), micros(800)));
}

#[test]
fn runs_of_different_rows_inside_one_doubling_stay_on_the_line() {
    let mut curve = affine(2000, 100, &[1, 16]);
    for rows in [17, 32, 20, 31, 25, 18] {
        curve.observe(rows, micros(2000 + 100 * u64::try_from(rows).unwrap()));
    }
    assert!(is_near(curve.time(32), micros(5200)), "{curve:?}");
    for _ in 0..100 {
        curve.observe(32, micros(5200));
    }
    let margin = curve.upper(32).unwrap() - curve.time(32).unwrap();
    assert!(margin < micros(5), "no jitter, no margin: {margin:?}");
}

#[test]
fn the_margin_is_one_deviation_of_the_time() {
    let mut curve = Curve::default();
    for round in 0..400 {
        curve.observe(4, micros(if round % 2 == 0 { 900 } else { 1100 }));
    }
    let (time, upper) = (curve.time(4).unwrap(), curve.upper(4).unwrap());
    let margin = upper.as_secs_f64() / time.as_secs_f64() - 1.0;
    assert!((0.08..0.13).contains(&margin), "{margin}");
}

#[test]
fn one_interrupted_run_moves_the_time_by_less_than_half() {
    let mut curve = affine(100, 0, &[1]);
    for _ in 0..20 {
        curve.observe(1, micros(100));
    }
    curve.observe(1, micros(50_000));
    assert!(curve.time(1).unwrap() < micros(150));
    assert!(curve.upper(1).unwrap() < micros(220));
}

#[test]
fn the_time_follows_a_lasting_change() {
    let mut curve = affine(10, 0, &[1]);
    for _ in 0..80 {
        curve.observe(1, micros(1000));
    }
    let time = curve.time(1).unwrap();
    assert!(time > micros(950) && time <= micros(1000), "{time:?}");
}

#[test]
fn the_efficient_batch_is_the_smallest_near_the_best_throughput() {
    let sizes = [1, 2, 4, 8, 16, 32, 64];
    let cases = [
        ("fixed costs", affine(2000, 100, &sizes), 64, 53),
        (
            "fewer rows allowed",
            affine(2000, 100, &[1, 2, 4, 8, 16, 32]),
            32,
            29,
        ),
        ("nothing to gain", affine(0, 100, &sizes), 64, 1),
        ("still rising", affine(2000, 100, &[1, 2, 4]), 64, 8),
        ("nothing to compare with", affine(0, 100, &[1]), 64, 64),
        ("no clear gain", affine(5, 100, &[1, 2]), 64, 1),
        ("unknown", Curve::default(), 64, 64),
    ];
    let mut failures = Vec::new();
    for (name, curve, max_rows, expected) in cases {
        let got = curve.efficient_rows(max_rows);
        if got != expected {
            failures.push(format!("{name}: {got}, not {expected}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_worse_large_batch_is_never_efficient() {
    let mut curve = affine(2000, 100, &[1, 2, 4, 8, 16]);
    curve.observe(32, micros(40_000));
    let rows = curve.efficient_rows(64);
    assert!((13..=16).contains(&rows), "{rows}");
}

#[test]
fn the_fixed_cost_is_what_no_row_would_take() {
    let fixed = affine(2000, 100, &[1, 2, 32]).fixed_cost(32);
    assert!(is_near(fixed, micros(2000)), "{fixed:?}");
    assert_eq!(affine(0, 100, &[1, 2]).fixed_cost(1), None);
    let fixed = affine(0, 100, &[1, 2, 32]).fixed_cost(32);
    assert!(is_near(fixed, Duration::ZERO), "{fixed:?}");
}
