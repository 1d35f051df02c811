//! Totals become blocks.

use std::sync::Arc;

use contract::{Code, Timings};

use super::*;
use crate::route::{ArmCounters as Counting, Outcome};

const METRICS: &str = "metrics: [{name: errors, event: error, not_worse_than: {abs: 0.01}}, \
                       {name: slow, event: latency_over, at: stable_p90, span: infer, \
                       not_worse_than: {ratio: 2.0, abs: 0.05}}]";

fn config() -> RolloutConfig {
    let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {METRICS}}}");
    RolloutConfig::parse(&text).unwrap()
}

/// Builds the totals of an arm with these run times and this number of failures.
fn arm(counting: &Counting, millis: &[u64], n_errors: usize) -> ArmTotals {
    let outcome = |error, compute| Outcome {
        error,
        latency: compute,
        timings: Some(Timings {
            compute,
            ..Timings::default()
        }),
        outputs: &[],
    };
    for &millis in millis {
        counting.record(&outcome(None, Duration::from_millis(millis)));
    }
    for _ in 0..n_errors {
        counting.record(&outcome(Some(Code::EngineFailed), Duration::ZERO));
    }
    counting.totals()
}

#[test]
fn a_block_holds_the_counts_since_the_last_sample() {
    let (stable, candidate) = (Arc::<Counting>::default(), Arc::<Counting>::default());
    let mut counter_deltas = CounterDeltas::default();
    let mut look = |n, errors| {
        let totals = Totals {
            stable: arm(&stable, &vec![1; n], 0),
            candidate: arm(&candidate, &vec![1; n], errors),
            units: [stable.totals().n_answered, candidate.totals().n_answered],
            ..Totals::default()
        };
        let block = counter_deltas.block(&config(), &BTreeMap::new(), totals);
        let MetricBlock::Share { arms, .. } = block.metrics[0].clone() else {
            panic!("{block:?}");
        };
        (
            arms.stable.n,
            arms.candidate.n,
            arms.candidate.events,
            block.units,
        )
    };
    assert_eq!(look(10, 2), (10, 12, 2, [10, 10]));
    assert_eq!(look(5, 0), (5, 5, 0, [5, 5]));
    assert_eq!(look(0, 0), (0, 0, 0, [0, 0]));
}

#[test]
fn units_of_a_time_between_two_weights_are_left_out() {
    let units = |stable, candidate| Totals {
        units: [stable, candidate],
        ..Totals::default()
    };
    let mut counter_deltas = CounterDeltas::default();
    let mut look = |totals| {
        counter_deltas
            .block(&config(), &BTreeMap::new(), totals)
            .units
    };
    assert_eq!(look(units(80, 20)), [80, 20]);
    counter_deltas.discard_units([380, 40]);
    let mut look = |totals| {
        counter_deltas
            .block(&config(), &BTreeMap::new(), totals)
            .units
    };
    assert_eq!(look(units(430, 90)), [50, 50]);
}

#[test]
fn nothing_is_slow_until_the_percentile_of_stable_is_known_and_then_counts_are_exact() {
    let config = config();
    let (stable, candidate) = (Counting::default(), Counting::default());
    let mut frozen = BTreeMap::new();
    let few = arm(&stable, &[1; 50], 0);
    assert_eq!(thresholds(&config, &frozen, &few), []);
    let many = arm(&stable, &[[1; 30].as_slice(), &[50; 20]].concat(), 0);
    let found = thresholds(&config, &frozen, &many);
    let [Event::ThresholdFrozen { metric, threshold }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(metric, "slow");
    assert!(*threshold >= Duration::from_millis(50), "{threshold:?}");
    frozen.insert(metric.clone(), *threshold);
    assert_eq!(thresholds(&config, &frozen, &many), []);
    let totals = Totals {
        stable: many,
        candidate: arm(&candidate, &[1, 49, 200, 300], 0),
        ..Totals::default()
    };
    let block = CounterDeltas::default().block(&config, &frozen, totals);
    let MetricBlock::Share { arms, .. } = &block.metrics[1] else {
        panic!("{block:?}");
    };
    assert_eq!((arms.candidate.n, arms.candidate.events), (4, 2));
    assert_eq!(arms.stable.events, 0);
}
