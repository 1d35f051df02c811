//! Versions whose files go, or fail to load, during a rollout.

use super::*;

fn without_candidate(tick: &mut Tick) {
    tick.candidate = Availability::Missing;
}

fn without_stable(tick: &mut Tick) {
    tick.stable = Availability::Missing;
}

/// Stages in which a version can go, with the weight of the candidate.
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
fn a_missing_candidate_rolls_back_at_once_also_while_held() {
    for (stage, weight) in stages() {
        for is_held in [false, true] {
            let mut scenario = in_stage(stage);
            assert_eq!(scenario.rollout.traffic().weight, weight);
            if is_held {
                scenario.apply_action(ActionKind::Hold).unwrap();
            }
            scenario.step(HEALTHY, without_candidate);
            assert_eq!(scenario.phase(), Phase::RolledBack, "{}", scenario.log());
            assert_eq!(scenario.last_reason(), Some(Reason::CandidateMissing));
            assert_eq!(scenario.rollout.traffic().weight, 0.0);
        }
    }
}

#[test]
fn without_stable_the_rollout_holds_its_weight_with_one_alert_and_goes_on_later() {
    for (stage, weight) in [(Stage::Step(0), 0.2), (Stage::Step(1), 0.5)] {
        let mut scenario = in_stage(stage);
        for _ in 0..3600 {
            scenario.step(HEALTHY, without_stable);
        }
        let held = Phase::Held {
            reason: HoldReason::StableMissing,
            stage,
        };
        assert_eq!(scenario.phase(), held, "{}", scenario.log());
        assert_eq!(scenario.rollout.traffic().weight, weight);
        let alerts = scenario
            .actions
            .iter()
            .filter(|action| **action == Action::Alert(Alert::StableMissing));
        assert_eq!(alerts.count(), 1);
        scenario.step(HEALTHY, |tick| tick.stable = Availability::Loading);
        assert_eq!(scenario.phase(), held, "it is being loaded");
        scenario.step(HEALTHY, |_| {});
        assert_eq!(scenario.phase(), Phase::Running(stage));
        scenario.until(HEALTHY, Phase::is_final);
        assert_eq!(scenario.phase(), Phase::Completed);
    }
}

#[test]
fn nothing_is_counted_while_one_version_answers_for_both() {
    let changes: [TickChange; 3] = [
        without_stable,
        |tick| tick.stable = Availability::Loading,
        |tick| tick.candidate = Availability::Loading,
    ];
    for change in changes {
        let mut scenario = in_stage(Stage::Step(1));
        let before = scenario.rollout.progress().evidence.clone();
        for _ in 0..60 {
            scenario.step(HEALTHY, change);
        }
        let progress = scenario.rollout.progress();
        assert_eq!(progress.evidence, before);
    }
}

#[test]
fn without_both_versions_the_rollout_waits_and_the_candidate_decides_when_stable_is_back() {
    let is_back: [(TickChange, Option<Phase>); 2] = [
        (without_candidate, Some(Phase::RolledBack)),
        (|_| {}, Some(Phase::Running(Stage::Step(1)))),
    ];
    for (change, expected) in is_back {
        let mut scenario = in_stage(Stage::Step(1));
        scenario.step(SILENT, |tick| {
            without_stable(tick);
            without_candidate(tick);
        });
        assert!(scenario.phase().is_held_for(HoldReason::StableMissing));
        scenario.step(SILENT, change);
        assert_eq!(Some(scenario.phase()), expected, "{}", scenario.log());
    }
}

#[test]
fn an_operator_can_promote_or_end_a_rollout_without_stable_and_not_resume_it() {
    let mut scenario = in_stage(Stage::Step(0));
    scenario.step(HEALTHY, without_stable);
    let refused = scenario.apply_action(ActionKind::Resume).unwrap_err();
    assert!(refused.to_string().contains("put them back"), "{refused}");
    scenario.apply_action(ActionKind::Promote).unwrap();
    assert_eq!(scenario.phase(), Phase::Running(Stage::Step(1)));
    scenario.apply_action(ActionKind::Abort).unwrap();
    assert_eq!(
        scenario.rollout.traffic().weight,
        0.5,
        "nobody else answers"
    );
    scenario.step(HEALTHY, |_| {});
    assert_eq!(scenario.phase(), Phase::Aborted);
}

#[test]
fn a_worse_candidate_waits_for_a_missing_stable() {
    let mut scenario = in_stage(Stage::Step(0));
    scenario.step(HEALTHY, without_stable);
    scenario.step(HEALTHY, |tick| {
        without_stable(tick);
        tick.guards.nan_output = 1;
    });
    assert!(scenario.phase().is_held_for(HoldReason::StableMissing));
    scenario.step(HEALTHY, |_| {});
    assert_eq!(scenario.phase(), Phase::RolledBack, "{}", scenario.log());
}

fn failed_load(n: u64) -> Event {
    Event::LoadFailed {
        n,
        error: "the file is cut off".to_owned(),
    }
}

#[test]
fn files_that_fail_to_load_roll_back_with_the_error() {
    let mut scenario = in_stage(Stage::Step(0));
    scenario.send_event(failed_load(1));
    assert_eq!(scenario.phase(), Phase::RolledBack);
    let reason = scenario.rollout.status().reason.unwrap();
    assert!(reason.contains("the file is cut off"), "{reason}");
}

#[test]
fn the_guard_for_failed_loads_has_a_limit_and_can_be_left_out() {
    let rows = [
        ("{load_failure: 3}", 2, false),
        ("{load_failure: 3}", 3, true),
        ("{nan_output: 1}", 9, false),
    ];
    for (guards, n, is_final) in rows {
        let mut scenario = Scenario::warm(&format!("{QUICK}, guards: {guards}"));
        for _ in 0..n {
            scenario.send_event(failed_load(1));
        }
        assert_eq!(scenario.phase().is_final(), is_final, "{guards} {n}");
    }
}

#[test]
fn a_candidate_that_goes_before_it_has_traffic_fails_the_rollout() {
    let mut scenario = Scenario::new(QUICK);
    scenario.step(SILENT, without_candidate);
    assert_eq!(scenario.phase(), Phase::Pending, "it may not be found yet");
    scenario.send_event(Event::CandidateMissing);
    assert_eq!(scenario.phase(), Phase::Failed);
    let reason = scenario.rollout.status().reason.unwrap();
    assert!(reason.contains("files of the candidate"), "{reason}");
    let mut warming = Scenario::new(QUICK);
    warming.send_event(Event::CandidateReady);
    warming.step(SILENT, without_candidate);
    assert_eq!(warming.phase(), Phase::Failed);
}

#[test]
fn a_record_of_an_earlier_version_that_waits_for_its_candidate_is_decided_at_once() {
    let stored = r#"{"held": {"reason": "candidate_missing", "stage": {"step": 0}}}"#;
    let phase: Phase = serde_json::from_str(stored).unwrap();
    let progress = Progress {
        phase,
        ..in_stage(Stage::Step(0)).rollout.progress().clone()
    };
    let decided: [(TickChange, Phase); 2] = [
        (|_| {}, Phase::Running(Stage::Step(0))),
        (without_candidate, Phase::RolledBack),
    ];
    for (change, expected) in decided {
        let mut scenario = in_stage(Stage::Step(0));
        let config = scenario.rollout.config().clone();
        let resumed = Rollout::resume(config, progress.clone(), scenario.now);
        scenario.rollout = resumed.unwrap().0;
        scenario.step(HEALTHY, change);
        assert_eq!(scenario.phase(), expected);
    }
}
