//! Comparison of pairs of answers.

use contract::{Shape, Tensor};

use super::*;

const TOLERANCE: Tolerance = Tolerance {
    absolute: 1e-5,
    relative: 1e-3,
};

fn answered(name: &str, values: &[f32], micros: u64) -> MirroredResponse {
    let shape = Shape::new(&[1, values.len()]);
    let tensor = Tensor::from_values(shape, values.to_vec()).unwrap();
    MirroredResponse {
        outputs: vec![NamedTensor {
            name: name.to_owned(),
            tensor,
        }],
        infer: Duration::from_micros(micros),
    }
}

fn pair(stable: &MirroredResponse, candidate: &MirroredResponse) -> PairTotals {
    let mut totals = PairTotals::default();
    add_answers(&mut totals, stable, candidate, TOLERANCE);
    totals
}

#[test]
fn classifiers_agree_when_their_classes_do() {
    let scores = |values: &[f32]| answered("probabilities", values, 0);
    let differing = |a: &[f32], b: &[f32]| pair(&scores(a), &scores(b)).differing().events;
    assert_eq!(differing(&[0.1, 0.7, 0.2], &[0.3, 0.4, 0.3]), 0);
    assert_eq!(differing(&[0.1, 0.7, 0.2], &[0.5, 0.3, 0.2]), 1);
}

#[test]
fn other_answers_agree_within_the_tolerance() {
    let plain = |values: &[f32]| answered("y", values, 0);
    let differing = |a: &[f32], b: &[f32]| pair(&plain(a), &plain(b)).differing().events;
    assert_eq!(differing(&[1.0, 200.0], &[1.0005, 200.1]), 0);
    assert_eq!(differing(&[1.0, 200.0], &[1.0, 201.0]), 1);
    assert_eq!(differing(&[f32::NAN, 1.0], &[f32::NAN, 1.0]), 0);
}

#[test]
fn only_faults_of_the_candidate_are_counted_against_it() {
    let [good, bad] = [[1.0, 2.0], [1.0, f32::NAN]].map(|values| answered("y", &values, 0));
    assert_eq!(pair(&good, &bad).n_nan, 1);
    assert_eq!(pair(&bad, &bad).n_nan, 0);
    assert_eq!(pair(&good, &answered("y", &[1.0], 0)).n_other_shape, 1);
    assert_eq!(pair(&good, &answered("z", &[1.0, 2.0], 0)).n_other_shape, 1);
}

#[test]
fn a_run_is_slower_by_a_tenth() {
    let slower = |stable, candidate| {
        let (stable, candidate) = (
            answered("y", &[1.0], stable),
            answered("y", &[1.0], candidate),
        );
        let totals = pair(&stable, &candidate);
        [totals.n_stable_slower, totals.n_candidate_slower]
    };
    assert_eq!(slower(5000, 5400), [0, 0]);
    assert_eq!(slower(5000, 5700), [0, 1]);
    assert_eq!(slower(5700, 5000), [1, 0]);
}

#[test]
fn failures_count_only_where_they_differ() {
    let mut totals = PairTotals::default();
    for (stable, candidate) in [(true, true), (true, false), (false, true), (false, true)] {
        add_failure(&mut totals, stable, candidate);
    }
    let failures = totals.failures();
    assert_eq!(
        (failures.n, failures.stable_alone, failures.candidate_alone),
        (3, 1, 2)
    );
    let before = totals;
    add_failure(&mut totals, false, true);
    assert_eq!(totals.since(&before).failures().candidate_alone, 1);
}
