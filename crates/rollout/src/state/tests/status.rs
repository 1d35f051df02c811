//! Status and report of a rollout.

use serde_json::{Value, json};

use super::*;

fn status(scenario: &Scenario) -> Value {
    serde_json::to_value(scenario.rollout.status()).unwrap()
}

#[test]
fn the_status_has_the_shape_of_the_reference() {
    let mut scenario = Scenario::warm(&format!(
        "{QUICK}, steps: [5, 50], \
         metrics: [{{name: errors, event: error, not_worse_than: {{ratio: 2.0, abs: 0.005}}}}]"
    ));
    scenario.step(HEALTHY, |_| {});
    let expected = json!({
        "id": "a",
        "run": 1,
        "model": "m",
        "state": "step",
        "step": 0,
        "n_steps": 2,
        "weight": 0.05,
        "generation": 3,
        "epoch": 1,
        "since": "1970-01-01T00:00:00Z",
        "reason": null,
        "verdict": "unknown",
        "arms": [
            {"name": "stable", "version": "1", "weight": 0.95},
            {"name": "candidate", "version": "2", "weight": 0.05},
        ],
        "missing": [
            "min_time: 9 s left",
            "min_requests: needs 50 more requests to the candidate, in about 1 s",
            "errors: needs about 620 more requests to the candidate, in about 13 s",
        ],
        "gate": null,
    });
    assert_eq!(status(&scenario), expected);
}

#[test]
fn the_status_tells_why_it_is_held_and_why_it_ended() {
    let mut scenario = Scenario::warm(QUICK);
    scenario.apply_action(ActionKind::Hold).unwrap();
    assert_eq!(status(&scenario)["reason"], "operator");
    assert_eq!(status(&scenario)["step"], 0);
    scenario.apply_action(ActionKind::Abort).unwrap();
    assert_eq!(status(&scenario)["state"], "aborted");
    assert_eq!(status(&scenario)["reason"], "an operator: because");
    assert_eq!(status(&scenario)["missing"], json!([]));
}

#[test]
fn the_status_has_a_verdict_in_every_stage() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    assert_eq!(status(&scenario)["verdict"], "unknown");
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    assert_eq!(status(&scenario)["verdict"], "not_worse");
    scenario.until(BROKEN, Phase::is_final);
    assert_eq!(status(&scenario)["verdict"], "worse");
    let reason = status(&scenario)["reason"].as_str().unwrap().to_owned();
    let expected = [" 30 % against 0.5 %", "requests since the promotion"];
    assert!(
        expected.iter().all(|part| reason.contains(part)),
        "{reason}"
    );

    let mut mismatched = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    for _ in 0..10 {
        mismatched.step(BROKEN, |tick| {
            tick.blocks[0].metrics = Vec::new();
            tick.blocks[0].units.candidate /= 2;
        });
    }
    assert_eq!(status(&mismatched)["reason"], "srm");
    assert_eq!(status(&mismatched)["verdict"], "unknown");
}

/// Runs a scenario to a state, and names the verdict that is right there.
type VerdictCase = (&'static str, &'static str, MakeScenario);

/// The states of a rollout, each with a candidate that may look better or worse than the verdict.
const VERDICTS: [VerdictCase; 14] = [
    ("pending", "unknown", || Scenario::new(QUICK)),
    ("warmup", "unknown", || {
        let mut scenario = Scenario::new(QUICK);
        scenario.send_event(Event::CandidateReady);
        scenario
    }),
    ("shadow", "unknown", || {
        Scenario::warm(&format!("{QUICK}{SHADOW}"))
    }),
    ("step", "unknown", || Scenario::warm(QUICK)),
    ("step", "not_worse", not_worse),
    ("held", "not_worse", || {
        let mut scenario = not_worse();
        scenario.apply_action(ActionKind::Hold).unwrap();
        scenario
    }),
    ("promoting", "not_worse", || {
        let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
        scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Promoting));
        scenario
    }),
    ("soak", "not_worse", || soaking(HEALTHY)),
    ("completed", "not_worse", || {
        let mut scenario = soaking(HEALTHY);
        scenario.until(SILENT, Phase::is_final);
        scenario
    }),
    ("rolled_back", "worse", || {
        let mut scenario = Scenario::warm(QUICK);
        scenario.until(BROKEN, Phase::is_final);
        scenario
    }),
    // A guard fires, an operator rolls back or aborts, while the scores are still "not worse".
    ("rolled_back", "worse", || {
        let mut scenario = not_worse();
        scenario.step(HEALTHY, |tick| tick.guards.nan_output = 1000);
        scenario
    }),
    ("rolled_back", "worse", || {
        let mut scenario = not_worse();
        scenario.apply_action(ActionKind::Rollback).unwrap();
        scenario
    }),
    ("aborted", "worse", || {
        let mut scenario = not_worse();
        scenario.apply_action(ActionKind::Abort).unwrap();
        scenario
    }),
    ("failed", "worse", || {
        let mut scenario = Scenario::new(QUICK);
        scenario.send_event(Event::CandidateFailed("no file".to_owned()));
        scenario
    }),
];

/// A scenario in a step that its evidence would allow to leave.
fn not_worse() -> Scenario {
    let keys =
        "step: {min_time: 10h, max_time: 20h}, soak: 2m, steps: [50], guards: {nan_output: 3}";
    let mut scenario = Scenario::warm(&format!(", {keys}"));
    for _ in 0..300 {
        scenario.step(HEALTHY, |_| {});
    }
    scenario
}

fn soaking(conditions: Conditions) -> Scenario {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    scenario.until(conditions, |phase| phase == Phase::Running(Stage::Soak));
    scenario
}

#[test]
fn the_verdict_is_worse_after_every_way_back_whatever_the_scores_say() {
    let found: Vec<_> = VERDICTS
        .iter()
        .map(|(_, _, make)| {
            let status = status(&make());
            (status["state"].clone(), status["verdict"].clone())
        })
        .collect();
    let required: Vec<_> = VERDICTS
        .iter()
        .map(|(state, verdict, _)| (json!(state), json!(verdict)))
        .collect();
    assert_eq!(found, required);
}

#[test]
fn a_rollback_that_waits_for_stable_is_not_called_not_worse() {
    let mut scenario = not_worse();
    assert_eq!(status(&scenario)["verdict"], "not_worse");
    scenario.step(HEALTHY, |tick| {
        tick.stable = Availability::Loading;
        tick.guards.nan_output = 1000;
    });
    assert!(!scenario.phase().is_final());
    assert_eq!(status(&scenario)["verdict"], "unknown");
}

#[test]
fn the_numbers_name_guards_and_the_soak_with_their_limits() {
    let mut scenario = Scenario::warm(&format!(
        "{QUICK}, steps: [50], guards: {{nan_output: 3, memory_ratio: 1.5}}"
    ));
    scenario.step(HEALTHY, |tick| {
        tick.guards.nan_output = 2;
        tick.guards.memory_ratio = 1.25;
    });
    let report = serde_json::to_value(scenario.rollout.report()).unwrap();
    let guards = json!([
        {"name": "nan_output", "count": 2.0, "limit": 3.0},
        {"name": "memory_ratio", "count": 1.25, "limit": 1.5},
    ]);
    assert_eq!(report["guards"], guards);
    assert_eq!(report["metrics"][0]["name"], "errors");
    assert_eq!(report.get("soak"), None);
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    scenario.run_for(HEALTHY, Duration::from_secs(30));
    let soak = scenario.rollout.report().soak.unwrap();
    // Two minutes are twelve blocks of ten seconds.
    assert!(
        (soak.limit - (12.0_f64 / 0.001).ln()).abs() < 1e-9,
        "{soak:?}"
    );
    assert!(soak.ln_d.unwrap() < 1.0, "{soak:?}");
}

#[test]
fn timestamps_are_written_in_rfc_3339() {
    assert_eq!(
        Timestamp(1_767_323_045_000).to_string(),
        "2026-01-02T03:04:05Z"
    );
    assert!(Timestamp(u64::MAX).to_string().starts_with("9999-12-"));
}

#[test]
fn the_status_names_the_gate_that_is_asked_and_its_last_answer() {
    let webhook = "{before: step_5, type: webhook, url: \"http://ci\"}";
    let gates = format!(", gates: [{webhook}, {{before: step_5, type: manual}}]");
    let mut scenario = Scenario::warm(&format!("{QUICK}{gates}"));
    assert_eq!(status(&scenario)["gate"], json!(null), "none is asked yet");
    scenario.until(HEALTHY, |phase| phase.is_held_for(HoldReason::Gate));
    let asked_at = scenario.now.to_string();
    let gate = |name: &str, last_answer: Option<&str>| json!({"name": name, "last_answer": last_answer, "asked_at": asked_at});
    assert_eq!(
        status(&scenario)["gate"],
        gate("webhook before step_5", None)
    );
    let mut answer = |decision| {
        let answer = answered(decision);
        scenario.send_event(Event::GateAnswered { gate: 0, answer });
        status(&scenario)["gate"].clone()
    };
    let waits = gate("webhook before step_5", Some("Wait"));
    assert_eq!(answer(GateDecision::Wait), waits);
    let manual = gate("manual before step_5", None);
    assert_eq!(answer(GateDecision::Proceed), manual);
}

#[test]
fn a_rollback_names_the_rates_that_showed_it() {
    let mut at_once = Scenario::warm(&format!("{QUICK}, steps: [5, 50]"));
    at_once.until(BROKEN, Phase::is_final);
    let better = Conditions {
        candidate: 0,
        ..HEALTHY
    };
    let mut later = Scenario::warm(", steps: [20, 50], step: {min_time: 1h, max_time: 2h}");
    later
        .until(better, is_step(1))
        .until(BROKEN, Phase::is_final);
    for scenario in [at_once, later] {
        let reason = status(&scenario)["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("errors "), "{reason}");
        assert!(reason.contains(" % against 0."), "{reason}");
        assert!(reason.ends_with(" requests"), "{reason}");
    }
}

#[test]
fn a_hold_for_a_metric_names_its_numbers() {
    let metrics = "{name: errors, event: error, not_worse_than: {ratio: 2.0}}, \
                   {name: failures, event: error, action: hold}";
    let mut scenario = Scenario::warm(&format!("{QUICK}, metrics: [{metrics}]"));
    for _ in 0..60 {
        scenario.step(BROKEN, |tick| {
            tick.blocks[0].metrics[0] = MetricBlock::Nothing
        });
    }
    assert!(scenario.phase().is_held_for(HoldReason::Metric));
    let missing = scenario.rollout.status().missing;
    assert!(missing[0].starts_with("failures: "), "{missing:?}");
    assert!(missing[0].contains(" % against "), "{missing:?}");
}
