//! Traps that other rollout engines have fallen into, and corner cases of our own rules.

use super::*;

const HOOK: &str = "type: webhook, url: \"http://ci\"";

#[test]
fn a_bad_minute_is_forgiven_when_good_ones_follow() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [10, 50]"));
    scenario.run_for(
        Conditions {
            candidate: 15,
            ..HEALTHY
        },
        Duration::from_secs(5),
    );
    let worst = combined(&scenario);
    assert!(worst > 0.0, "the bad minute is seen: {worst}");
    scenario.run_for(HEALTHY, Duration::from_secs(120));
    assert!(
        combined(&scenario) < worst - 2.0,
        "{} after {worst}",
        combined(&scenario)
    );
    scenario.until(HEALTHY, Phase::is_final);
    assert_eq!(scenario.phase(), Phase::Completed);
}

fn combined(scenario: &Scenario) -> f64 {
    let evidence = &scenario.rollout.progress().evidence;
    evidence.report(scenario.rollout.config()).metrics[0].ln_worse_step
}

#[test]
fn a_rollback_in_the_soak_waits_for_stable_and_keeps_the_candidate() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    scenario.step(HEALTHY, |tick| {
        tick.guards.nan_output = 1;
        tick.stable = Availability::Loading;
    });
    for _ in 0..600 {
        scenario.step(HEALTHY, |tick| tick.stable = Availability::Loading);
    }
    assert_eq!(
        scenario.phase(),
        Phase::Running(Stage::Soak),
        "{}",
        scenario.log()
    );
    assert_eq!(
        scenario.rollout.traffic().weight,
        1.0,
        "no traffic goes to a version that is not ready"
    );
    scenario.step(HEALTHY, |_| {});
    assert_eq!(scenario.last_guard(), Some(GuardKind::NanOutput));
}

#[test]
fn an_abort_waits_for_stable_under_the_name_of_its_author() {
    let mut scenario = Scenario::warm(QUICK);
    scenario.step(HEALTHY, |tick| tick.stable = Availability::Loading);
    scenario.apply_action(ActionKind::Abort).unwrap();
    assert!(matches!(
        scenario.apply_action(ActionKind::Promote),
        Err(Refusal::Illegal { .. })
    ));
    scenario.step(HEALTHY, |_| {});
    let transitions = scenario.transitions();
    let last = transitions.last().unwrap();
    assert_eq!((last.to, last.actor.as_str()), (Phase::Aborted, "ada"));
}

#[test]
fn another_artefact_waits_for_stable_too() {
    let mut scenario = Scenario::warm(QUICK);
    scenario.step(HEALTHY, |tick| tick.stable = Availability::Loading);
    scenario.send_event(Event::CandidateChanged);
    assert_eq!(scenario.phase(), Phase::Running(Stage::Step(0)));
    scenario.step(HEALTHY, |_| {});
    assert_eq!(scenario.phase(), Phase::Warmup);
}

#[test]
fn every_gate_before_a_step_has_to_open() {
    let gates = format!(", gates: [{{before: step_5, {HOOK}}}, {{before: step_5, type: manual}}]");
    let mut scenario = Scenario::warm(&format!("{QUICK}{gates}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    scenario.send_event(Event::GateAnswered {
        gate: 0,
        answer: answered(GateDecision::Proceed),
    });
    scenario.run_for(HEALTHY, Duration::from_secs(60));
    assert!(
        scenario.phase().is_held_for(HoldReason::Gate),
        "{}",
        scenario.log()
    );
    scenario.apply_action(ActionKind::Promote).unwrap();
    scenario.until(HEALTHY, is_step(1));
}

#[test]
fn a_gate_that_opens_does_not_overrule_the_evidence() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    // Somewhat worse: no longer "not worse", and not yet "worse".
    while scenario
        .rollout
        .progress()
        .evidence
        .is_not_worse(scenario.rollout.config())
    {
        scenario.step(
            Conditions {
                candidate: 100,
                ..HEALTHY
            },
            |_| {},
        );
    }
    assert!(
        scenario.phase().is_held_for(HoldReason::Gate),
        "{}",
        scenario.log()
    );
    scenario.apply_action(ActionKind::Promote).unwrap();
    scenario.step(SILENT, |_| {});
    assert_eq!(
        scenario.phase(),
        Phase::Running(Stage::Step(0)),
        "{}",
        scenario.log()
    );
}

#[test]
fn a_gate_may_open_before_it_is_reached() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.apply_action(ActionKind::Promote).unwrap();
    scenario.until(HEALTHY, is_step(1));
    let held = scenario
        .transitions()
        .iter()
        .any(|transition| transition.to.is_held_for(HoldReason::Gate));
    assert!(!held, "{}", scenario.log());
}

#[test]
fn an_answer_of_a_gate_that_does_not_exist_changes_nothing() {
    let mut scenario = Scenario::warm(QUICK);
    let before = scenario.rollout.clone();
    scenario.send_event(Event::GateAnswered {
        gate: 7,
        answer: answered(GateDecision::RollBack),
    });
    assert_eq!(scenario.rollout, before);
}

#[test]
fn pending_gate_calls_are_repeated_after_a_restart() {
    let gate = format!(", gates: [{{before: step_5, {HOOK}}}]");
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    let config = scenario.rollout.config().clone();
    let progress = scenario.rollout.progress().clone();
    let (resumed, actions) = Rollout::resume(config, progress, scenario.now).unwrap();
    assert_eq!(
        actions,
        [Action::Load, Action::SetTraffic(resumed.traffic())]
    );
    scenario.rollout = resumed;
    let before = scenario.actions.len();
    scenario.step(HEALTHY, |_| {});
    assert_eq!(scenario.actions[before..], [Action::QueryGate(0)]);
}

#[test]
fn the_least_time_and_the_least_requests_are_kept() {
    let flawless = Conditions {
        requests_per_second: 10_000,
        stable: 0,
        candidate: 0,
    };
    let slow = ", steps: [50], step: {min_time: 5m, min_requests: 1}";
    let mut scenario = Scenario::warm(slow);
    scenario.until(flawless, |phase| phase == Phase::Running(Stage::Promoting));
    assert_eq!(scenario.now, Timestamp(300_000), "{}", scenario.log());
    let many = ", steps: [50], step: {min_time: 1s, min_requests: 1000000}";
    let mut scenario = Scenario::warm(many);
    scenario.until(flawless, |phase| phase == Phase::Running(Stage::Promoting));
    assert_eq!(scenario.now, Timestamp(200_000), "{}", scenario.log());
}

#[test]
fn requests_of_an_earlier_step_do_not_count_for_the_next() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [10, 50]"));
    scenario.until(HEALTHY, is_step(1));
    assert_eq!(scenario.rollout.progress().n_candidate_requests, 0);
    scenario.run_for(SILENT, Duration::from_secs(900));
    let held = Phase::Held {
        reason: HoldReason::Unknown,
        stage: Stage::Step(1),
    };
    assert_eq!(scenario.phase(), held, "{}", scenario.log());
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_rise_or_fall() {
    let mut scenario = Scenario::warm(QUICK);
    scenario.until(HEALTHY, is_step(1));
    scenario.now = Timestamp(0);
    scenario.run_for(HEALTHY, Duration::from_secs(30));
    assert_eq!(
        scenario.phase(),
        Phase::Running(Stage::Step(1)),
        "{}",
        scenario.log()
    );
}

#[test]
fn differing_outputs_hold_until_somebody_has_looked() {
    use stats::output_bins::Bin;
    let metrics = ", metrics: [{name: errors, event: error, not_worse_than: {abs: 0.005}}, {name: outputs, event: output_bin}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{metrics}, steps: [10, 50]"));
    let bin = |stable, candidate| Bin { stable, candidate };
    // The first block only shows which bins stable uses.
    for _ in 0..2 {
        scenario.step(HEALTHY, |tick| {
            tick.blocks[0].metrics[1] =
                MetricBlock::Bins(vec![bin(240, 60), bin(380, 20), bin(280, 20)]);
        });
    }
    assert!(
        scenario.phase().is_held_for(HoldReason::Drift),
        "{}",
        scenario.log()
    );
    scenario.run_for(HEALTHY, Duration::from_secs(60));
    assert!(
        scenario.phase().is_held_for(HoldReason::Drift),
        "the evidence is still there"
    );
    scenario.apply_action(ActionKind::Resume).unwrap();
    scenario.until(HEALTHY, is_step(1));
}

#[test]
fn a_shadow_that_differs_is_rolled_back_before_it_serves_anybody() {
    let metrics = ", metrics: [{name: errors, event: error, not_worse_than: {abs: 0.005}}, {name: differs, event: shadow_differs, max_rate: 0.02}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{SHADOW}{metrics}"));
    for _ in 0..60 {
        scenario.step(HEALTHY, |tick| {
            tick.blocks[0].metrics[1] = MetricBlock::Differing(Counts { n: 100, events: 20 });
        });
    }
    assert_eq!(scenario.phase(), Phase::RolledBack, "{}", scenario.log());
    for action in &scenario.actions {
        if let Action::SetTraffic(traffic) = action {
            assert_eq!(traffic.weight, 0.0);
        }
    }
}

#[test]
fn an_operator_may_go_on_without_a_verdict_and_is_named() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.until(SILENT, is_held(HoldReason::Unknown));
    scenario.apply_action(ActionKind::Promote).unwrap();
    assert_eq!(scenario.phase(), Phase::Running(Stage::Step(1)));
    let transitions = scenario.transitions();
    let last = transitions.last().unwrap();
    assert_eq!(last.reason, Reason::Operator("because".to_owned()));
    assert_eq!(last.actor, "ada");
}

#[test]
fn the_first_frozen_threshold_counts() {
    let mut scenario = Scenario::warm(QUICK);
    for millis in [20, 40] {
        scenario.send_event(Event::ThresholdFrozen {
            metric: "slow".to_owned(),
            threshold: Duration::from_millis(millis),
        });
    }
    let thresholds = &scenario.rollout.progress().latency_thresholds;
    assert_eq!(thresholds.get("slow"), Some(&Duration::from_millis(20)));
}

#[test]
fn counts_that_come_late_from_another_artefact_are_not_counted() {
    let mut scenario = Scenario::warm(QUICK);
    let late = scenario.counted(BROKEN);
    scenario.send_event(Event::CandidateChanged);
    scenario.send_event(Event::Tick(Box::new(late)));
    let progress = scenario.rollout.progress();
    assert_eq!(progress.evidence, Evidence::new(scenario.rollout.config()));
    assert_eq!(progress.n_candidate_requests, 0);
}

#[test]
fn unexpected_events_change_nothing() {
    let mut scenario = Scenario::warm(QUICK);
    let before = scenario.rollout.clone();
    scenario.send_event(Event::WarmupFailed("late".to_owned()));
    scenario.send_event(Event::CandidateReady);
    scenario.send_event(Event::WarmedUp);
    assert_eq!(scenario.rollout, before);
    let mut pending = Scenario::new("");
    let before = pending.rollout.clone();
    pending.send_event(Event::WarmedUp);
    pending.send_event(Event::CandidateChanged);
    assert_eq!(pending.rollout, before);
}

fn unhealthy(tick: &mut Tick) {
    tick.is_stable_unhealthy = true;
}

#[test]
fn an_operator_wins_over_the_alarm_of_stable_until_it_has_ended_once() {
    for kind in [ActionKind::Resume, ActionKind::Promote] {
        let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5, 50]"));
        scenario.step(HEALTHY, unhealthy);
        assert!(scenario.phase().is_held_for(HoldReason::StableUnhealthy));
        scenario.apply_action(kind).unwrap();
        let after = scenario.phase();
        for _ in 0..30 {
            scenario.step(SILENT, unhealthy);
        }
        assert_eq!(scenario.phase(), after, "{}", scenario.log());
        scenario.step(SILENT, |_| {});
        scenario.step(SILENT, unhealthy);
        assert!(scenario.phase().is_held_for(HoldReason::StableUnhealthy));
    }
}
