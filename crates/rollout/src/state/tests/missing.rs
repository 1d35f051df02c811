//! A candidate whose files go, and come back.

use super::*;

fn missing(tick: &mut Tick) {
    tick.candidate = Availability::Missing;
}

const HELD: HoldReason = HoldReason::CandidateMissing;

/// Steps, and a soak, in which the candidate can go.
fn stages() -> [(Stage, f64); 3] {
    [
        (Stage::Step(0), 0.2),
        (Stage::Step(1), 0.5),
        (Stage::Soak, 1.0),
    ]
}

fn in_stage(stage: Stage) -> Scenario {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [20, 50]"));
    scenario.until(HEALTHY, |phase| phase == Phase::Running(stage));
    scenario
}

#[test]
fn while_the_candidate_is_missing_stable_has_all_traffic_and_the_stage_waits() {
    for (stage, weight) in stages() {
        let mut scenario = in_stage(stage);
        for _ in 0..3600 {
            scenario.step(HEALTHY, missing);
        }
        let held = Phase::Held {
            reason: HELD,
            stage,
        };
        assert_eq!(scenario.phase(), held, "{}", scenario.log());
        assert_eq!(scenario.rollout.traffic().weight, 0.0);
        let status = scenario.rollout.status();
        assert_eq!(status.reason.as_deref(), Some("candidate_missing"));
        scenario.step(HEALTHY, |tick| tick.candidate = Availability::NotReady);
        assert_eq!(scenario.phase(), held, "it is being loaded");
        scenario.step(HEALTHY, |_| {});
        assert_eq!(scenario.phase(), Phase::Running(stage));
        assert_eq!(scenario.rollout.traffic().weight, weight);
        scenario.until(HEALTHY, Phase::is_final);
        assert_eq!(scenario.phase(), Phase::Completed);
    }
}

#[test]
fn requests_that_stable_answers_for_the_candidate_are_no_evidence() {
    let mut scenario = in_stage(Stage::Step(1));
    let before = scenario.rollout.progress().evidence.clone();
    for _ in 0..60 {
        scenario.step(HEALTHY, |tick| {
            missing(tick);
            tick.blocks[0].units.candidate = 0;
            tick.n_candidate_requests = 0;
        });
    }
    assert_eq!(scenario.rollout.progress().evidence, before);
}

#[test]
fn a_rollout_that_waits_for_its_candidate_can_only_be_ended() {
    let mut scenario = in_stage(Stage::Step(0));
    scenario.step(HEALTHY, missing);
    for kind in [ActionKind::Promote, ActionKind::Resume] {
        let refused = scenario.apply_action(kind).unwrap_err();
        assert!(refused.to_string().contains("put them back"), "{refused}");
    }
    scenario.apply_action(ActionKind::Rollback).unwrap();
    assert_eq!(scenario.phase(), Phase::RolledBack);
}

#[test]
fn another_candidate_in_its_place_starts_again() {
    let mut scenario = in_stage(Stage::Step(1));
    scenario.step(HEALTHY, missing);
    scenario.send_event(Event::CandidateChanged);
    assert_eq!(scenario.phase(), Phase::Warmup);
}

#[test]
fn a_candidate_that_goes_before_it_has_traffic_fails_the_rollout() {
    let mut scenario = Scenario::new(QUICK);
    scenario.send_event(Event::CandidateMissing);
    assert_eq!(scenario.phase(), Phase::Failed);
    let reason = scenario.rollout.status().reason.unwrap();
    assert!(reason.contains("its files are missing"), "{reason}");
}

#[test]
fn a_hold_of_an_operator_outlives_a_missing_candidate() {
    let mut scenario = in_stage(Stage::Step(1));
    scenario.apply_action(ActionKind::Hold).unwrap();
    scenario.step(HEALTHY, missing);
    scenario.step(HEALTHY, |_| {});
    assert!(scenario.phase().is_held_for(HoldReason::Operator));
}
