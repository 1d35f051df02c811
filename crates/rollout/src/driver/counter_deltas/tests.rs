//! Totals become blocks.

use stats::histogram::AtomicHistogram;

use super::*;

const METRICS: &str = "metrics: [{name: errors, event: error, not_worse_than: {abs: 0.01}}, \
                       {name: slow, event: latency_over, at: stable_p90, span: infer, \
                       not_worse_than: {ratio: 2.0, abs: 0.05}}]";

fn config() -> RolloutConfig {
    let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {METRICS}}}");
    RolloutConfig::parse(&text).unwrap()
}

/// Adds requests with these run times and failures to the totals of an arm; returns them.
fn add(arm: &mut ArmTotals, millis: &[u64], n_errors: u64) -> ArmTotals {
    let times = AtomicHistogram::default();
    for &millis in millis {
        times.add(Duration::from_millis(millis));
    }
    let times = times.read();
    let more = ArmTotals {
        n_answered: times.n(),
        n_errors,
        latencies: [times.clone(), times.clone(), times],
        ..ArmTotals::default()
    };
    arm.add(&more);
    arm.clone()
}

#[test]
fn a_block_holds_the_counts_since_the_last_sample() {
    let (mut stable, mut candidate) = (ArmTotals::default(), ArmTotals::default());
    let mut counter_deltas = CounterDeltas::default();
    let mut look = |n, errors| {
        let stable = add(&mut stable, &vec![1; n], 0);
        let candidate = add(&mut candidate, &vec![1; n], errors);
        let totals = Totals {
            units: [stable.n_answered, candidate.n_answered],
            stable,
            candidate,
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
    let mut stable = ArmTotals::default();
    let mut frozen = BTreeMap::new();
    let few = add(&mut stable, &[1; 50], 0);
    assert_eq!(thresholds(&config, &frozen, &few), []);
    let many = add(&mut stable, &[[1; 30].as_slice(), &[50; 20]].concat(), 0);
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
        candidate: add(&mut ArmTotals::default(), &[1, 49, 200, 300], 0),
        ..Totals::default()
    };
    let block = CounterDeltas::default().block(&config, &frozen, totals);
    let MetricBlock::Share { arms, .. } = &block.metrics[1] else {
        panic!("{block:?}");
    };
    assert_eq!((arms.candidate.n, arms.candidate.events), (4, 2));
    assert_eq!(arms.stable.events, 0);
}
