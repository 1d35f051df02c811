//! The events of transitions, and the alerts that fire and end with them.

use contract::{ActionKind, OperatorAction};
use serde_json::Value;

use super::*;
use crate::config::RolloutConfig;
use crate::state::{Action, Event};

const GATE: Phase = held(HoldReason::Gate);
const UNKNOWN: Phase = held(HoldReason::Unknown);
const STEP: Phase = Phase::Running(Stage::Step(0));
const NEXT: Phase = Phase::Running(Stage::Step(1));

const fn held(reason: HoldReason) -> Phase {
    Phase::Held {
        reason,
        stage: Stage::Step(0),
    }
}

#[test]
fn every_transition_has_the_events_that_people_expect() {
    use NotificationEvent as Notified;
    let rows: [(Phase, Phase, &[NotificationEvent]); 14] = [
        (Phase::Pending, Phase::Warmup, &[]),
        (Phase::Warmup, STEP, &[Notified::Step]),
        (STEP, NEXT, &[Notified::Step]),
        (NEXT, Phase::Running(Stage::Promoting), &[Notified::Step]),
        (
            Phase::Running(Stage::Promoting),
            Phase::Running(Stage::Soak),
            &[],
        ),
        (STEP, UNKNOWN, &[Notified::Held]),
        (UNKNOWN, UNKNOWN, &[]),
        (UNKNOWN, STEP, &[Notified::Resumed]),
        (UNKNOWN, NEXT, &[Notified::Step, Notified::Resumed]),
        (STEP, GATE, &[Notified::Gate]),
        (GATE, Phase::RolledBack, &[Notified::RolledBack]),
        (STEP, Phase::Aborted, &[Notified::Aborted]),
        (Phase::Pending, Phase::Failed, &[Notified::Failed]),
        (
            Phase::Running(Stage::Soak),
            Phase::Completed,
            &[Notified::Completed],
        ),
    ];
    for (from, to, expected) in rows {
        assert_eq!(events(from, to), expected, "{from:?} -> {to:?}");
    }
}

/// Plays operator actions on a rollout in its first step; returns the alerts of each transition.
fn alerts(kinds: &[ActionKind]) -> (Rollout, Vec<Value>) {
    let text = "rollout: {id: r, model: m, stable: 1, candidate: 2, warmup: {source: none}, \
                steps: [5], notify: [{alertmanager: 'http://alerts'}]}";
    let (mut rollout, _) = Rollout::start(RolloutConfig::parse(text).unwrap(), Timestamp(0));
    drop(rollout.handle(Event::CandidateReady, Timestamp(0)));
    let mut posted = Vec::new();
    for (second, kind) in (1..).zip(kinds) {
        let action = OperatorAction {
            kind: *kind,
            actor: "ada".to_owned(),
            reason: String::new(),
            generation: None,
        };
        let actions = rollout
            .apply_action(&action, Timestamp(second * 1000))
            .unwrap();
        for action in actions {
            if let Action::Record(transition) = action {
                let occasion = Occasion::transition(&rollout, &transition, None);
                let made = occasion.notifications().unwrap();
                posted.extend(
                    made.iter()
                        .map(|made| serde_json::from_str(&made.message).unwrap()),
                );
            }
        }
    }
    (rollout, posted)
}

#[test]
fn an_alert_of_a_hold_lasts_until_the_hold_ends() {
    let (_, posted) = alerts(&[ActionKind::Hold, ActionKind::Resume]);
    let [firing, resolved] = posted.as_slice() else {
        panic!("{posted:?}");
    };
    assert_eq!(firing[0]["labels"]["alertname"], "LockgateRolloutHeld");
    assert_eq!(firing[0]["startsAt"], "1970-01-01T00:00:01Z");
    assert_eq!(firing[0]["endsAt"], "1970-01-08T00:00:01Z");
    assert_eq!(resolved[0]["labels"], firing[0]["labels"]);
    assert_eq!(resolved[0]["endsAt"], "1970-01-01T00:00:02Z");
}

#[test]
fn a_rollback_while_held_ends_the_one_alert_and_fires_the_other() {
    let (rollout, posted) = alerts(&[ActionKind::Hold, ActionKind::Rollback]);
    let names = |alerts: &Value| {
        let alerts = alerts.as_array().unwrap().iter();
        let names = alerts.map(|alert| alert["labels"]["alertname"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names(&posted[1]),
        ["LockgateRolloutHeld", "LockgateRollback"]
    );
    let open = super::super::OpenAlert::of_ended(&rollout);
    let resolution = open[0].resolution(Timestamp(9000)).unwrap();
    let resolution: Value = serde_json::from_str(&resolution.message).unwrap();
    assert_eq!(resolution[0]["labels"], posted[1][1]["labels"]);
    assert_eq!(resolution[0]["endsAt"], "1970-01-01T00:00:09Z");
    assert!(super::super::OpenAlert::of_ended(&alerts(&[ActionKind::Abort]).0).is_empty());
}
