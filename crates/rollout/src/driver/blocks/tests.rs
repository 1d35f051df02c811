//! Observations become blocks.

use stats::histogram::bucket_of;
use stats::observation::{FirstRequest, UnitObservation};

use super::super::epoch_units::EpochUnits;
use super::*;
use crate::evidence::Pairs;

const METRICS: &str = "metrics: [{name: errors, event: error, not_worse_than: {abs: 0.01}}, \
                       {name: slow, event: latency_over, at: stable_p90, span: infer, \
                       not_worse_than: {ratio: 2.0, abs: 0.05}}, \
                       {name: outputs, event: output_bin}]";

const THRESHOLD: Duration = Duration::from_millis(64);

fn config() -> RolloutConfig {
    let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {METRICS}}}");
    RolloutConfig::parse(&text).unwrap()
}

fn unit(fingerprint: u64, event: UnitEvent) -> UnitObservation {
    UnitObservation {
        fingerprint,
        is_candidate: fingerprint % 2 == 1,
        event,
    }
}

fn answered(millis: u64) -> UnitEvent {
    let infer = bucket_of(Duration::from_millis(millis));
    UnitEvent::FirstRequest(Some(FirstRequest {
        latencies: [0, 0, infer],
        output_bin: Some(3),
        ..FirstRequest::default()
    }))
}

fn failed() -> UnitEvent {
    UnitEvent::FirstRequest(Some(FirstRequest {
        is_error: true,
        ..FirstRequest::default()
    }))
}

/// Returns the only block of observations of units.
fn block(counted: &mut EpochUnits, assignment_epoch: u64, units: Vec<UnitObservation>) -> Block {
    let thresholds = BTreeMap::from([("slow".to_owned(), THRESHOLD)]);
    let observations = Observations {
        weight: 0.1,
        assignment_epoch,
        units,
        ..Observations::default()
    };
    let mut observations = vec![observations];
    counted.retain_new(&mut observations);
    let mut blocks = blocks(&config(), &thresholds, observations);
    blocks.pop().unwrap()
}

fn share(block: &Block, metric: usize) -> (ArmCounts, Arms<u64>) {
    let MetricBlock::Share { trials, events, .. } = &block.metrics[metric] else {
        panic!("{block:?}");
    };
    (*trials, *events)
}

#[test]
fn a_unit_is_one_trial_and_one_event_in_its_epoch() {
    let mut counted = EpochUnits::default();
    let first = block(
        &mut counted,
        1,
        vec![
            unit(1, failed()),
            unit(1, UnitEvent::FirstError),
            unit(2, answered(1)),
            unit(2, UnitEvent::FirstError),
            unit(4, UnitEvent::FirstRequest(None)),
        ],
    );
    assert_eq!((first.weight, first.assignment_epoch), (0.1, 1));
    let (trials, events) = share(&first, 0);
    assert_eq!((trials.candidate.n, trials.candidate.events), (1, 1));
    assert_eq!((trials.stable.n, trials.stable.events), (1, 0));
    assert_eq!((events.candidate, events.stable), (1, 1));
    assert_eq!((first.units.candidate, first.units.stable), (1, 2));

    let again = || vec![unit(1, failed()), unit(1, UnitEvent::FirstError)];
    let repeated = block(&mut counted, 1, again());
    assert_eq!(share(&repeated, 0), Default::default());
    assert_eq!(repeated.units, Arms::default());
    let next_epoch = block(&mut counted, 2, again());
    assert_eq!(share(&next_epoch, 0).1.candidate, 1);
}

#[test]
fn slow_first_requests_and_their_outputs_are_counted() {
    let mut counted = EpochUnits::default();
    let units = vec![
        unit(1, answered(1)),
        unit(3, answered(200)),
        unit(5, failed()),
        unit(2, answered(1)),
    ];
    let block = block(&mut counted, 0, units);
    let (trials, events) = share(&block, 1);
    assert_eq!((trials.candidate.n, trials.candidate.events), (2, 1));
    assert_eq!((trials.stable.n, trials.stable.events), (1, 0));
    assert_eq!((events.candidate, events.stable), (1, 0));
    let MetricBlock::Bins(bins) = &block.metrics[2] else {
        panic!("{block:?}");
    };
    assert_eq!((bins[3].stable, bins[3].candidate), (1, 2));
}

#[test]
fn requests_without_a_unit_count_one_by_one() {
    let arm = |n_answered, n_errors| ArmTotals {
        n_answered,
        n_errors,
        ..ArmTotals::default()
    };
    let observations = Observations {
        weight: 0.2,
        requests: Arms {
            stable: arm(80, 2),
            candidate: arm(18, 1),
        },
        assigned: Arms {
            stable: 83,
            candidate: 20,
        },
        units: vec![unit(1, failed())],
        ..Observations::default()
    };
    let blocks = blocks(&config(), &BTreeMap::new(), vec![observations]);
    let (trials, events) = share(&blocks[0], 0);
    assert_eq!((trials.stable.n, trials.stable.events), (82, 2));
    assert_eq!((trials.candidate.n, trials.candidate.events), (20, 2));
    assert_eq!((events.stable, events.candidate), (2, 1));
    assert_eq!(
        (blocks[0].units.stable, blocks[0].units.candidate),
        (83, 21)
    );
    assert_eq!(
        blocks[0].metrics[1],
        MetricBlock::Nothing,
        "no threshold yet"
    );
}

#[test]
fn shadow_pairs_join_a_block() {
    let mut counted = EpochUnits::default();
    let mut block = block(&mut counted, 0, Vec::new());
    let mut deltas = Deltas::default();
    deltas.pairs.n_answered = 10;
    deltas.pairs.n_candidate_failed = 2;
    add_deltas(&config(), &mut block, &deltas);
    let MetricBlock::Share { pairs, .. } = &block.metrics[0] else {
        panic!("{block:?}");
    };
    let expected = Pairs {
        n: 12,
        stable_alone: 0,
        candidate_alone: 2,
    };
    assert_eq!(*pairs, expected);
}
