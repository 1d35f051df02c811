//! Prometheus queries of gates and guards.

use super::*;
use crate::prometheus::Reading;

const HEAD: &str = "url: 'http://p', query: up, name: q, interval: 20s, max: 1";

/// A rollout that waits for a gate with a query.
fn at_gate(keys: &str) -> Scenario {
    let gate = format!("gates: [{{before: promote, type: prometheus, {HEAD}{keys}}}]");
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5], {gate}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    let asked = Action::Query(QueryIndex::Gate(0));
    assert_eq!(scenario.actions.last(), Some(&asked));
    scenario
}

/// A rollout in its first step with a query as a guard.
fn guarded(keys: &str) -> Scenario {
    let guards = format!("guards: {{prometheus: [{{{HEAD}{keys}}}]}}");
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5, 50], {guards}"));
    scenario.until(HEALTHY, is_step(0));
    scenario
}

/// The same, held by an operator, so that it does not go on by itself.
fn held(keys: &str) -> Scenario {
    let mut scenario = guarded(keys);
    scenario.apply_action(ActionKind::Hold).unwrap();
    scenario
}

/// Answers the open query, and plays until the next one; returns the seconds up to it.
fn next_query(scenario: &mut Scenario, query: QueryIndex, reading: Reading) -> u64 {
    let answered = scenario.now;
    scenario.send_event(Event::QueryAnswered { query, reading });
    let n_actions = scenario.actions.len();
    let is_asked =
        |scenario: &Scenario| scenario.actions[n_actions..].contains(&Action::Query(query));
    while !is_asked(scenario) && scenario.now.since(answered).as_secs() < 1000 {
        scenario.step(HEALTHY, |_| {});
    }
    scenario.now.since(answered).as_secs()
}

fn gate_answer(scenario: &Scenario) -> Option<String> {
    let gate = scenario.rollout.status().gate.unwrap();
    assert_eq!(gate.name, "prometheus `q` before promote");
    gate.last_answer
}

const GATE: QueryIndex = QueryIndex::Gate(0);
const GUARD: QueryIndex = QueryIndex::Guard(0);

#[test]
fn a_gate_opens_with_the_first_value_within_its_limits() {
    let mut scenario = at_gate("");
    for value in [7.0, f64::INFINITY, 1.5] {
        assert_eq!(next_query(&mut scenario, GATE, Reading::Value(value)), 20);
        assert!(scenario.phase().is_held_for(HoldReason::Gate));
    }
    let answer = gate_answer(&scenario);
    assert_eq!(answer.as_deref(), Some("1.5 is above `max: 1`"));
    scenario.send_event(Event::QueryAnswered {
        query: GATE,
        reading: Reading::Value(1.0),
    });
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
}

#[test]
fn a_gate_with_for_opens_after_values_within_its_limits_for_that_time() {
    let mut scenario = at_gate(", for: 60s");
    let began = scenario.now;
    for value in [0.5, 0.5, 3.0, 0.5, 0.5, 0.5] {
        next_query(&mut scenario, GATE, Reading::Value(value));
        assert!(scenario.phase().is_held_for(HoldReason::Gate));
    }
    scenario.send_event(Event::QueryAnswered {
        query: GATE,
        reading: Reading::Value(0.5),
    });
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    assert_eq!(scenario.now.since(began).as_secs() / 10, 12);
}

#[test]
fn failures_in_a_row_roll_back_at_the_limit_of_a_gate_and_of_a_guard() {
    let limit = ", failure_limit: 3";
    for (mut scenario, query) in [(at_gate(limit), GATE), (held(limit), GUARD)] {
        for _ in 0..2 {
            next_query(&mut scenario, query, Reading::Value(2.0));
            assert!(!scenario.phase().is_final());
        }
        next_query(&mut scenario, query, Reading::Value(2.0));
        assert_eq!(scenario.phase(), Phase::RolledBack);
        let reason = scenario.last_reason().unwrap();
        assert_eq!(
            reason.to_string(),
            "Prometheus query `q`: 2 is above `max: 1`, 3 of 3 in a row"
        );
        assert_eq!(reason.label(), "prometheus");
    }
}

#[test]
fn a_value_within_the_limits_forgives_the_failures_before_it() {
    let mut scenario = held(", failure_limit: 3");
    for value in [2.0, 2.0, 0.5, 2.0, 2.0, 0.5] {
        next_query(&mut scenario, GUARD, Reading::Value(value));
        assert!(!scenario.phase().is_final());
    }
}

#[test]
fn no_data_is_no_failure_unless_the_file_says_so() {
    let mut scenario = held("");
    for _ in 0..100 {
        assert_eq!(next_query(&mut scenario, GUARD, Reading::NoData), 20);
    }
    let mut scenario = held(", on_no_data: fail, failure_limit: 2");
    next_query(&mut scenario, GUARD, Reading::NoData);
    next_query(&mut scenario, GUARD, Reading::NoData);
    assert_eq!(scenario.phase(), Phase::RolledBack);
}

#[test]
fn an_unavailable_prometheus_is_asked_again_with_growing_waits_and_never_rolls_back() {
    for (mut scenario, query) in [(at_gate(", failure_limit: 1"), GATE), (held(""), GUARD)] {
        let away = || Reading::Unavailable("it answered 503".to_owned());
        let waits = [(); 4].map(|()| next_query(&mut scenario, query, away()));
        assert_eq!(waits, [10, 20, 40, 80]);
        assert!(!scenario.phase().is_final());
        assert_eq!(next_query(&mut scenario, query, Reading::NoData), 20);
        assert_eq!(next_query(&mut scenario, query, away()), 10);
    }
}

#[test]
fn a_guard_whose_query_is_refused_holds_until_it_is_answered() {
    let mut scenario = guarded("");
    let refused = Reading::Invalid("parse error: unclosed".to_owned());
    next_query(&mut scenario, GUARD, refused);
    assert!(scenario.phase().is_held_for(HoldReason::GuardQuery));
    let status = scenario.rollout.status();
    assert_eq!(status.reason.as_deref(), Some("guard_query"));
    let answer = status.guard_queries[0].last_answer.as_deref();
    assert_eq!(answer, Some("parse error: unclosed"));
    assert!(scenario.apply_action(ActionKind::Resume).is_err());
    next_query(&mut scenario, GUARD, Reading::Value(0.5));
    assert!(!scenario.phase().is_held_for(HoldReason::GuardQuery));
}

#[test]
fn a_guard_is_asked_in_every_stage_and_while_held() {
    let mut scenario = held("");
    assert_eq!(next_query(&mut scenario, GUARD, Reading::Value(0.5)), 20);
    scenario.apply_action(ActionKind::Resume).unwrap();
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    for _ in 0..3 {
        next_query(&mut scenario, GUARD, Reading::Value(2.0));
    }
    assert_eq!(scenario.phase(), Phase::RolledBack);
}

#[test]
fn values_in_a_row_survive_a_restart_and_open_queries_are_made_again() {
    let mut scenario = held(", failure_limit: 2");
    next_query(&mut scenario, GUARD, Reading::Value(2.0));
    let stored = serde_json::to_string(scenario.rollout.progress()).unwrap();
    let config = scenario.rollout.config().clone();
    let progress = serde_json::from_str(&stored).unwrap();
    let (rollout, _) = Rollout::resume(config, progress, scenario.now).unwrap();
    (scenario.rollout, scenario.actions) = (rollout, Vec::new());
    scenario.step(HEALTHY, |_| {});
    assert!(scenario.actions.contains(&Action::Query(GUARD)));
    next_query(&mut scenario, GUARD, Reading::Value(2.0));
    assert_eq!(scenario.phase(), Phase::RolledBack);
}
