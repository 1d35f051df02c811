//! Counts of single requests.

use contract::{Shape, Tensor};

use super::*;

fn answered(counts: &ArmCounters, latency: Duration) {
    counts.record(&Outcome {
        error: None,
        latency,
        timings: None,
        outputs: &[],
        unit: None,
    });
}

fn failed(counts: &ArmCounters, error: Code) {
    counts.record(&Outcome {
        error: Some(error),
        latency: Duration::ZERO,
        timings: None,
        outputs: &[],
        unit: None,
    });
}

#[test]
fn quantiles_are_those_of_the_answered_requests() {
    let counts = ArmCounters::default();
    for _ in 0..98 {
        answered(&counts, Duration::from_micros(100));
    }
    for _ in 0..2 {
        answered(&counts, Duration::from_millis(50));
    }
    failed(&counts, Code::EngineFailed);
    failed(&counts, Code::QueueFull);
    failed(&counts, Code::InvalidRequest);
    failed(&counts, Code::Cancelled);
    let result = counts.result("control", 0.5);
    assert_eq!((result.n_requests, result.n_errors), (102, 2));
    assert_eq!(result.p50, Some(Duration::from_micros(112)));
    assert_eq!(result.p95, result.p50);
    let p99 = result.p99.unwrap();
    assert!(p99 >= Duration::from_millis(50), "{p99:?}");
}

#[test]
fn an_answer_leaves_its_times_and_its_class() {
    let counts = ArmCounters::default();
    let outputs = [NamedTensor {
        name: "label".to_owned(),
        tensor: Tensor::from_values(Shape::new(&[1]), vec![3_i64]).unwrap(),
    }];
    let summary = counts.record(&Outcome {
        error: None,
        latency: Duration::from_millis(10),
        timings: Some(Timings {
            queue: Duration::from_millis(2),
            compute: Duration::from_millis(5),
            ..Timings::default()
        }),
        outputs: &outputs,
        unit: None,
    });
    let class = summary.and_then(|summary| summary.class);
    assert_eq!(class, Some(Class::of_integer(3)));
    let totals = counts.totals();
    let medians = totals
        .latencies
        .each_ref()
        .map(|times| times.quantile(0.5).unwrap());
    let [total, queue, infer] = medians;
    assert!(total > infer && infer > queue, "{medians:?}");
    assert_eq!(
        (totals.n_answered, totals.outputs[3], totals.n_nan),
        (1, 1, 0)
    );
}

#[test]
fn the_longest_run_of_errors_is_taken_once() {
    let counts = ArmCounters::default();
    for _ in 0..3 {
        failed(&counts, Code::EngineFailed);
        failed(&counts, Code::InvalidRequest);
    }
    answered(&counts, Duration::ZERO);
    failed(&counts, Code::EngineFailed);
    assert_eq!(counts.take_longest_error_run(), 3);
    assert_eq!(counts.take_longest_error_run(), 0);
    failed(&counts, Code::EngineFailed);
    assert_eq!(counts.take_longest_error_run(), 2, "the run goes on");
}

#[test]
fn rewards_are_summed_and_non_binary_ones_are_counted() {
    let counts = ArmCounters::default();
    counts.record_reward(1.0);
    counts.record_reward(-3.0);
    assert_eq!(counts.rewards().n_non_binary, 1);
    let rewards = counts.totals().rewards;
    assert_eq!(
        (rewards.n, rewards.sum, rewards.sum_squares),
        (2, -2.0, 10.0)
    );
}

#[test]
fn a_run_of_errors_needs_three_units_where_units_are_known() {
    let counts = ArmCounters::default();
    let fail = |fingerprint| {
        counts.record(&Outcome {
            error: Some(Code::EngineFailed),
            latency: Duration::ZERO,
            timings: None,
            outputs: &[],
            unit: Some(AssignedUnit {
                fingerprint,
                is_first: false,
            }),
        });
    };
    (0..10).for_each(|_| fail(1));
    fail(2);
    assert_eq!(counts.take_longest_error_run(), 0, "two users fail alone");
    fail(3);
    assert_eq!(counts.take_longest_error_run(), 12);
    answered(&counts, Duration::ZERO);
    fail(4);
    assert_eq!(counts.take_longest_error_run(), 0, "another run");
}
