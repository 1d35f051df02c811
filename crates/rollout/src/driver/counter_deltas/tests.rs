//! Samples of totals, and the latencies that are frozen from them.

use stats::histogram::AtomicHistogram;

use super::*;

const METRICS: &str = "metrics: [{name: errors, event: error, not_worse_than: {abs: 0.01}}, \
                       {name: slow, event: latency_over, at: stable_p90, span: infer, \
                       not_worse_than: {ratio: 2.0, abs: 0.05}}]";

fn config() -> RolloutConfig {
    let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {METRICS}}}");
    RolloutConfig::parse(&text).unwrap()
}

/// Adds requests with these run times and failures to the totals of an arm.
fn add(arm: &mut ArmTotals, millis: &[u64], n_errors: u64) {
    let times = AtomicHistogram::default();
    for &millis in millis {
        times.add(Duration::from_millis(millis));
    }
    let times = times.read();
    let more = ArmTotals {
        n_answered: times.n(),
        n_errors,
        n_nan: n_errors,
        latencies: [times.clone(), times.clone(), times],
        ..ArmTotals::default()
    };
    arm.add(&more);
}

#[test]
fn a_sample_holds_the_counts_since_the_last_one() {
    let mut totals = Totals::default();
    let mut counter_deltas = CounterDeltas::default();
    let mut look = |n, errors| {
        add(&mut totals.arms.stable, &vec![1; n], 1);
        add(&mut totals.arms.candidate, &vec![1; n], errors);
        let sample = counter_deltas.sample(totals.clone());
        let stable = (sample.stable.n, sample.stable.events);
        (
            sample.n_candidate_requests,
            sample.guards.nan_output,
            stable,
        )
    };
    assert_eq!(look(10, 2), (12, 2, (11, 1)));
    assert_eq!(look(5, 0), (5, 0, (6, 1)));
    assert_eq!(look(0, 0), (0, 0, (1, 1)));
}

#[test]
fn a_percentile_of_stable_is_frozen_once_it_is_known() {
    let config = config();
    let mut stable = ArmTotals::default();
    let mut frozen = BTreeMap::new();
    add(&mut stable, &[1; 50], 0);
    assert_eq!(thresholds(&config, &frozen, &stable), []);
    add(&mut stable, &[[1; 30].as_slice(), &[50; 20]].concat(), 0);
    let found = thresholds(&config, &frozen, &stable);
    let [Event::ThresholdFrozen { metric, threshold }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(metric, "slow");
    assert!(*threshold >= Duration::from_millis(50), "{threshold:?}");
    frozen.insert(metric.clone(), *threshold);
    assert_eq!(thresholds(&config, &frozen, &stable), []);
}
