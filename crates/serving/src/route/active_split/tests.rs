//! Active splits, before and after a change of their weights.

use std::time::Duration;

use contract::{AssignmentHash, Unit};

use super::*;

/// A caller with a unit in every source, or without one.
#[derive(Debug)]
struct TestAttributes(Option<String>);

impl AssignmentAttributes for TestAttributes {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        self.field("")
    }

    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        self.field("")
    }

    fn field(&self, _: &str) -> Option<Cow<'_, str>> {
        self.0.as_deref().map(Cow::Borrowed)
    }
}

/// Arms as `name version weight`.
fn split(arms: &[(&str, &str, f64)], source: UnitSource) -> Split {
    let arms = arms.iter().map(|&(name, version, weight)| Arm {
        name: name.to_owned(),
        version: version.to_owned(),
        weight,
    });
    Split {
        arms: arms.collect(),
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

fn by_user() -> UnitSource {
    UnitSource::Field("user_id".to_owned())
}

fn active(arms: &[(&str, &str, f64)]) -> ActiveSplit {
    ActiveSplit::new(split(arms, by_user()), "digits/traffic").unwrap()
}

fn reweighted(earlier: &ActiveSplit, arms: &[(&str, &str, f64)]) -> ActiveSplit {
    let split = split(arms, by_user());
    earlier.reweighted(split, "digits/traffic").unwrap()
}

/// Sends one request for each of this number of users.
fn assign_users(active: &ActiveSplit, users: std::ops::Range<u32>) {
    for user in users {
        let attributes = TestAttributes(Some(format!("user_{user}")));
        active.assign(&attributes, || 0).unwrap();
    }
}

fn record_answer(arm: &ActiveArm, request: &str) {
    let outcome = Outcome {
        error: None,
        latency: Duration::from_millis(1),
        timings: None,
        outputs: &[],
        unit: None,
    };
    arm.record(RequestFingerprint::new(request), &outcome);
}

#[test]
fn a_unit_is_counted_once_over_all_weights() {
    let first = active(&[("new", "2", 0.1), ("old", "1", 0.9)]);
    assign_users(&first, 0..1000);
    assign_users(&first, 0..1000);
    let units = first.units();
    assert_eq!(units.iter().sum::<u64>(), 1000);
    assert!((60..150).contains(&units[0]), "{units:?}");
    let second = reweighted(&first, &[("new", "2", 0.5), ("old", "1", 0.5)]);
    assign_users(&second, 0..2000);
    let now = second.units();
    assert_eq!(now.iter().sum::<u64>(), 2000);
    assert_eq!(first.units(), now, "they share their counts");
    let new = now[0] - units[0];
    assert!((430..570).contains(&new), "{new}");
    assert!(second.ln_mismatch() < mismatch::LN_LIMIT);
}

#[test]
fn units_that_do_not_follow_the_weights_show_over_all_weights() {
    let first = active(&[("new", "2", 0.5), ("old", "1", 0.5)]);
    for _ in 0..1000 {
        first.arms[0].counters.record_unit();
    }
    let ln_mismatch = first.ln_mismatch();
    assert!(ln_mismatch > mismatch::LN_LIMIT, "{ln_mismatch}");
    let second = reweighted(&first, &[("new", "2", 0.9), ("old", "1", 0.1)]);
    assert_eq!(second.ln_mismatch(), ln_mismatch, "nothing new was seen");
}

#[test]
fn requests_are_units_when_each_is_one_of_its_own() {
    let arms = [("a", "1", 0.5), ("b", "2", 0.5)];
    let active = ActiveSplit::new(split(&arms, UnitSource::Random), "").unwrap();
    for draw in [1, 2, 700_000] {
        active.assign(&TestAttributes(None), || draw).unwrap();
    }
    assert_eq!((active.units(), active.n_without_unit()), (vec![2, 1], 0));
}

#[test]
fn requests_without_their_unit_are_none() {
    let active = active(&[("a", "1", 0.5), ("b", "2", 0.5)]);
    active.assign(&TestAttributes(None), || 1).unwrap();
    assert_eq!((active.units(), active.n_without_unit()), (vec![0, 0], 1));
}

#[test]
fn arms_of_another_version_start_at_zero_and_the_others_go_on() {
    let first = active(&[("new", "2", 0.1), ("old", "1", 0.9)]);
    first
        .arms
        .iter()
        .for_each(|arm| record_answer(arm, "a request"));
    let arms = [("old", "1", 0.5), ("new", "3", 0.3), ("more", "4", 0.2)];
    let second = reweighted(&first, &arms);
    let counted = second.arms.iter();
    let counted = counted.map(|arm| arm.counters.totals().n_answered);
    assert_eq!(counted.collect::<Vec<_>>(), [1, 0, 0]);
    let numbers = second.arms.iter().map(|arm| arm.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3]);
    let (arm, _) = second.arm_of_request("a request").unwrap();
    assert_eq!(
        arm.name, "old",
        "it is known by its number, not by its place"
    );
}

#[test]
fn a_bandit_keeps_its_arms_and_what_was_written() {
    let mut requested = split(&[("new", "2", 0.5), ("old", "1", 0.5)], by_user());
    requested.bandit = Some(contract::Bandit::default());
    let first = ActiveSplit::new(requested, "digits/traffic").unwrap();
    assign_users(&first, 0..100);
    assert!(
        first
            .with_bandit_weights("digits/traffic")
            .unwrap()
            .is_none()
    );
    for (arm, reward) in first.arms.iter().zip([1.0, 0.0]) {
        (0..100).for_each(|_| arm.counters.record_reward(reward));
        record_answer(arm, &format!("to {reward}"));
    }
    let second = first
        .with_bandit_weights("digits/traffic")
        .unwrap()
        .unwrap();
    assert_eq!(second.split(), first.split());
    assert_eq!(
        (first.weights(), second.weights()),
        (&[0.5, 0.5][..], &[0.99, 0.01][..])
    );
    assert_eq!(second.units().iter().sum::<u64>(), 100);
    assert_eq!(second.arm_of_request("to 0").unwrap().0.name, "old");
    assert!(
        second
            .with_bandit_weights("digits/traffic")
            .unwrap()
            .is_none()
    );
    // New units follow the current weights.
    assign_users(&second, 1000..2000);
    let [new, old] = second.units()[..] else {
        panic!("two arms")
    };
    assert!(new - old > 900, "{new} {old}");
    assert!(second.ln_mismatch() < mismatch::LN_LIMIT);
}

#[test]
fn only_assigned_requests_of_a_bandit_have_a_propensity() {
    let mut requested = split(&[("a", "1", 0.25), ("b", "2", 0.75)], by_user());
    let reported = |requested: &Split, attributes: &TestAttributes| {
        let active = ActiveSplit::new(requested.clone(), "").unwrap();
        match active.assign(attributes, || 300_000).unwrap() {
            ArmAssignment::Assigned {
                arm,
                propensity: reported,
                ..
            } => reported.map(|reported| (arm.name.clone(), reported.clone())),
            ArmAssignment::Forced(..) | ArmAssignment::Excluded => None,
        }
    };
    assert_eq!(reported(&requested, &TestAttributes(None)), None);
    requested.bandit = Some(contract::Bandit::default());
    let of_draw = reported(&requested, &TestAttributes(None));
    assert_eq!(of_draw, Some(("b".to_owned(), Bytes::from("0.75"))));
    requested.override_header = Some("x-arm".to_owned());
    assert_eq!(
        reported(&requested, &TestAttributes(Some("a".to_owned()))),
        None
    );
}

#[test]
fn invalid_weights_are_rejected() {
    let first = active(&[("new", "2", 0.1), ("old", "1", 0.9)]);
    let split = split(&[("new", "2", 0.1)], by_user());
    assert!(first.reweighted(split, "").is_err());
}
