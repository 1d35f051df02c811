//! Observations of a rollout by segment.

use std::borrow::Cow;
use std::time::Duration;

use contract::{Arm, AssignmentAttributes, AssignmentHash, Code, Fallback, Unit, UnitSource};

use super::*;
use crate::route::active_split::ArmAssignment;
use crate::route::counters::RequestFingerprint;

/// A caller with this unit.
#[derive(Debug)]
struct Caller(Option<&'static str>);

impl AssignmentAttributes for Caller {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        self.0.map(Cow::Borrowed)
    }

    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn field(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

fn split(source: UnitSource, candidate: f64) -> Split {
    let arm = |name: &str, weight| Arm {
        name: name.to_owned(),
        version: name.to_owned(),
        weight,
    };
    Split {
        arms: vec![arm("candidate", candidate), arm("stable", 1.0 - candidate)],
        unit: Unit {
            source,
            fallback: Fallback::Random,
        },
        hash: AssignmentHash::Xxh3,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    }
}

fn by_user(candidate: f64) -> Split {
    split(UnitSource::Header("x-user".to_owned()), candidate)
}

/// Sends a request of a caller that ends with this error, or an answer.
fn send(active: &ActiveSplit, caller: Option<&'static str>, error: Option<Code>) {
    let assigned = active.assign(&Caller(caller), || 0).unwrap();
    let ArmAssignment::Assigned {
        active_arm, unit, ..
    } = assigned
    else {
        panic!("{assigned:?}");
    };
    let outcome = Outcome {
        error,
        latency: Duration::from_millis(3),
        timings: None,
        outputs: &[],
        unit,
    };
    active_arm.record(RequestFingerprint::new("request"), &outcome);
}

/// The events of units, as `1st` with the error, and `error`.
fn events(active: &ActiveSplit) -> Vec<String> {
    let observations = active.take_unit_observations().into_iter();
    let event = |event| match event {
        UnitEvent::FirstRequest(None) => "1st without result".to_owned(),
        UnitEvent::FirstRequest(Some(FirstRequest { is_error, .. })) => format!("1st {is_error}"),
        UnitEvent::FirstError => "error".to_owned(),
    };
    observations.map(|observed| event(observed.event)).collect()
}

#[test]
fn a_unit_leaves_its_first_request_and_its_first_error() {
    let active = ActiveSplit::of_rollout(by_user(1.0)).unwrap();
    send(&active, Some("ada"), None);
    send(&active, Some("ada"), Some(Code::EngineFailed));
    send(&active, Some("ada"), Some(Code::EngineFailed));
    send(&active, Some("bob"), Some(Code::InvalidRequest));
    send(&active, Some("bob"), None);
    assert_eq!(
        events(&active),
        ["1st false", "error", "1st without result"]
    );
    assert!(events(&active).is_empty(), "they were taken");
}

#[test]
fn a_change_of_the_weight_observes_no_unit_again_and_a_new_epoch_does() {
    let first = ActiveSplit::of_rollout(by_user(1.0)).unwrap();
    send(&first, Some("ada"), Some(Code::EngineFailed));
    let reweighted = first.next_segment(by_user(0.5), false).unwrap();
    send(&reweighted, Some("ada"), Some(Code::EngineFailed));
    assert!(events(&reweighted).is_empty());
    let next_epoch = first.next_segment(by_user(1.0), true).unwrap();
    send(&next_epoch, Some("ada"), Some(Code::EngineFailed));
    assert_eq!(events(&next_epoch), ["1st true", "error"]);
    assert_eq!(events(&first), ["1st true", "error"], "kept apart");
}

#[test]
fn requests_without_a_unit_are_counted_apart_from_those_with_one() {
    let active = ActiveSplit::of_rollout(by_user(1.0)).unwrap();
    send(&active, Some("ada"), None);
    send(&active, None, None);
    let [candidate, _] = active.arms() else {
        panic!("{active:?}");
    };
    assert_eq!(candidate.counters.totals().n_answered, 2);
    let observed = candidate.observed_requests();
    assert_eq!((observed.totals().n_answered, observed.n_units()), (1, 1));

    let random = ActiveSplit::of_rollout(split(UnitSource::Random, 1.0)).unwrap();
    send(&random, Some("ada"), None);
    let observed = random.arms()[0].observed_requests();
    assert_eq!((observed.totals().n_answered, observed.n_units()), (1, 1));
    assert!(events(&random).is_empty());
}

#[test]
fn a_first_request_without_a_result_is_observed() {
    let active = ActiveSplit::of_rollout(by_user(1.0)).unwrap();
    let assigned = active.assign(&Caller(Some("ada")), || 0).unwrap();
    let ArmAssignment::Assigned {
        active_arm,
        unit: Some(unit),
        ..
    } = assigned
    else {
        panic!("{assigned:?}");
    };
    active_arm.record_without_result(unit);
    assert_eq!(events(&active), ["1st without result"]);
}
