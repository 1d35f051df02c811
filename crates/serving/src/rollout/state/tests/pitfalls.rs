//! Traps that other rollout engines have fallen into, and corners of our own rules.

use super::*;

const HOOK: &str = "type: webhook, url: \"http://ci\"";

#[test]
fn a_bad_minute_is_forgiven_when_good_ones_follow() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [10, 50]"));
    course.pass(
        World {
            candidate: 15,
            ..HEALTHY
        },
        Duration::from_secs(5),
    );
    let worst = combined(&course);
    assert!(worst > 0.0, "the bad minute is seen: {worst}");
    course.pass(HEALTHY, Duration::from_secs(120));
    assert!(
        combined(&course) < worst - 2.0,
        "{} after {worst}",
        combined(&course)
    );
    course.until(HEALTHY, Phase::is_final);
    assert_eq!(course.phase(), Phase::Completed);
}

fn combined(course: &Course) -> f64 {
    let evidence = &course.rollout.progress().evidence;
    evidence.report(course.rollout.config()).combined.ln_start
}

#[test]
fn a_rollback_in_the_soak_waits_for_stable_and_keeps_the_candidate() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
    course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    course.step(HEALTHY, |tick| {
        tick.guards.nan_output = 1;
        tick.is_stable_ready = false;
    });
    for _ in 0..600 {
        course.step(HEALTHY, |tick| tick.is_stable_ready = false);
    }
    assert_eq!(
        course.phase(),
        Phase::Running(Stage::Soak),
        "{}",
        course.story()
    );
    assert_eq!(
        course.rollout.traffic().weight,
        1.0,
        "no traffic goes where nobody is"
    );
    course.step(HEALTHY, |_| {});
    assert_eq!(
        course.last_reason(),
        Some(Reason::Guard(GuardKind::NanOutput))
    );
}

#[test]
fn an_abort_waits_for_stable_under_the_name_of_its_author() {
    let mut course = Course::warm(QUICK);
    course.step(HEALTHY, |tick| tick.is_stable_ready = false);
    course.act(ActKind::Abort).unwrap();
    assert!(matches!(
        course.act(ActKind::Promote),
        Err(Refusal::Illegal { .. })
    ));
    course.step(HEALTHY, |_| {});
    let moves = course.moves();
    let last = moves.last().unwrap();
    assert_eq!((last.to, last.actor.as_str()), (Phase::Aborted, "ada"));
}

#[test]
fn another_artefact_waits_for_stable_too() {
    let mut course = Course::warm(QUICK);
    course.step(HEALTHY, |tick| tick.is_stable_ready = false);
    course.tell(Event::CandidateChanged);
    assert_eq!(course.phase(), Phase::Running(Stage::Step(0)));
    course.step(HEALTHY, |_| {});
    assert_eq!(course.phase(), Phase::Warmup);
}

#[test]
fn every_gate_before_a_step_has_to_open() {
    let gates = format!(", gates: [{{before: step_5, {HOOK}}}, {{before: step_5, type: manual}}]");
    let mut course = Course::warm(&format!("{QUICK}{gates}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    course.tell(Event::GateAnswered {
        gate: 0,
        answer: GateAnswer::Go,
    });
    course.pass(HEALTHY, Duration::from_secs(60));
    assert!(
        course.phase().is_held_for(HoldReason::Gate),
        "{}",
        course.story()
    );
    course.act(ActKind::Promote).unwrap();
    course.until(HEALTHY, is_step(1));
}

#[test]
fn a_gate_that_opens_does_not_overrule_the_evidence() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    // Somewhat worse: no longer "not worse", and not yet "worse".
    while course
        .rollout
        .progress()
        .evidence
        .is_not_worse(course.rollout.config())
    {
        course.step(
            World {
                candidate: 100,
                ..HEALTHY
            },
            |_| {},
        );
    }
    assert!(
        course.phase().is_held_for(HoldReason::Gate),
        "{}",
        course.story()
    );
    course.act(ActKind::Promote).unwrap();
    course.step(SILENT, |_| {});
    assert_eq!(
        course.phase(),
        Phase::Running(Stage::Step(0)),
        "{}",
        course.story()
    );
}

#[test]
fn a_gate_may_open_before_it_is_reached() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.act(ActKind::Promote).unwrap();
    course.until(HEALTHY, is_step(1));
    let held = course
        .moves()
        .iter()
        .any(|moved| moved.to.is_held_for(HoldReason::Gate));
    assert!(!held, "{}", course.story());
}

#[test]
fn an_answer_of_a_gate_that_does_not_exist_changes_nothing() {
    let mut course = Course::warm(QUICK);
    let before = course.rollout.clone();
    course.tell(Event::GateAnswered {
        gate: 7,
        answer: GateAnswer::RollBack,
    });
    assert_eq!(course.rollout, before);
}

#[test]
fn open_calls_are_made_again_after_a_restart() {
    let gate = format!(", gates: [{{before: step_5, {HOOK}}}]");
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    let config = course.rollout.config().clone();
    let progress = course.rollout.progress().clone();
    let (resumed, actions) = Rollout::resume(config, progress, course.now).unwrap();
    assert_eq!(
        actions,
        [Action::Load, Action::SetTraffic(resumed.traffic())]
    );
    course.rollout = resumed;
    let before = course.actions.len();
    course.step(HEALTHY, |_| {});
    assert_eq!(course.actions[before..], [Action::AskGate(0)]);
}

#[test]
fn the_least_time_and_the_least_requests_are_kept() {
    let flawless = World {
        requests_per_second: 10_000,
        stable: 0,
        candidate: 0,
    };
    let slow = ", steps: [50], step: {min_time: 5m, min_requests: 1}";
    let mut course = Course::warm(slow);
    course.until(flawless, |phase| phase == Phase::Running(Stage::Promoting));
    assert_eq!(course.now, Moment(300_000), "{}", course.story());
    let many = ", steps: [50], step: {min_time: 1s, min_requests: 1000000}";
    let mut course = Course::warm(many);
    course.until(flawless, |phase| phase == Phase::Running(Stage::Promoting));
    assert_eq!(course.now, Moment(200_000), "{}", course.story());
}

#[test]
fn requests_of_an_earlier_step_do_not_count_for_the_next() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [10, 50]"));
    course.until(HEALTHY, is_step(1));
    assert_eq!(course.rollout.progress().n_candidate_requests, 0);
    course.pass(SILENT, Duration::from_secs(900));
    let held = Phase::Held {
        reason: HoldReason::Unknown,
        stage: Stage::Step(1),
    };
    assert_eq!(course.phase(), held, "{}", course.story());
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_rise_or_fall() {
    let mut course = Course::warm(QUICK);
    course.until(HEALTHY, is_step(1));
    course.now = Moment(0);
    course.pass(HEALTHY, Duration::from_secs(30));
    assert_eq!(
        course.phase(),
        Phase::Running(Stage::Step(1)),
        "{}",
        course.story()
    );
}

#[test]
fn differing_outputs_hold_until_somebody_has_looked() {
    use crate::rollout::statistics::output_bins::Bin;
    let metrics = ", metrics: [{name: errors, event: error, not_worse_than: {abs: 0.005}}, {name: outputs, event: output_bin}]";
    let mut course = Course::warm(&format!("{QUICK}{metrics}"));
    let bin = |stable, candidate| Bin { stable, candidate };
    course.step(HEALTHY, |tick| {
        tick.metrics[1] = MetricBlock::Bins(vec![bin(240, 60), bin(380, 20), bin(280, 20)]);
    });
    assert!(
        course.phase().is_held_for(HoldReason::Drift),
        "{}",
        course.story()
    );
    course.pass(HEALTHY, Duration::from_secs(60));
    assert!(
        course.phase().is_held_for(HoldReason::Drift),
        "the evidence is still there"
    );
    course.act(ActKind::Resume).unwrap();
    course.until(HEALTHY, is_step(1));
}

#[test]
fn a_shadow_that_differs_goes_without_having_answered_anybody() {
    let metrics = ", metrics: [{name: errors, event: error, not_worse_than: {abs: 0.005}}, {name: differs, event: shadow_differs, max_rate: 0.02}]";
    let mut course = Course::warm(&format!("{QUICK}{SHADOW}{metrics}"));
    for _ in 0..60 {
        course.step(HEALTHY, |tick| {
            tick.metrics[1] = MetricBlock::Differing(Counts { n: 100, events: 20 });
        });
    }
    assert_eq!(course.phase(), Phase::RolledBack, "{}", course.story());
    for action in &course.actions {
        if let Action::SetTraffic(traffic) = action {
            assert_eq!(traffic.weight, 0.0);
        }
    }
}

#[test]
fn an_operator_may_go_on_without_a_verdict_and_is_named() {
    let gate = ", gates: [{before: step_5, type: manual}]";
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.until(SILENT, is_held(HoldReason::Unknown));
    course.act(ActKind::Promote).unwrap();
    assert_eq!(course.phase(), Phase::Running(Stage::Step(1)));
    let moves = course.moves();
    let last = moves.last().unwrap();
    assert_eq!(last.reason, Reason::Operator("because".to_owned()));
    assert_eq!(last.actor, "ada");
}

#[test]
fn the_first_frozen_threshold_counts() {
    let mut course = Course::warm(QUICK);
    for millis in [20, 40] {
        course.tell(Event::ThresholdFrozen {
            metric: "slow".to_owned(),
            threshold: Duration::from_millis(millis),
        });
    }
    let thresholds = &course.rollout.progress().latency_thresholds;
    assert_eq!(thresholds.get("slow"), Some(&Duration::from_millis(20)));
}

#[test]
fn counts_that_come_late_from_another_artefact_are_not_counted() {
    let mut course = Course::warm(QUICK);
    let late = course.counted(BROKEN);
    course.tell(Event::CandidateChanged);
    course.tell(Event::Tick(Box::new(late)));
    let progress = course.rollout.progress();
    assert_eq!(progress.evidence, Evidence::new(course.rollout.config()));
    assert_eq!(progress.n_candidate_requests, 0);
}

#[test]
fn events_out_of_turn_change_nothing() {
    let mut course = Course::warm(QUICK);
    let before = course.rollout.clone();
    course.tell(Event::WarmupFailed("late".to_owned()));
    course.tell(Event::CandidateReady);
    course.tell(Event::WarmedUp);
    assert_eq!(course.rollout, before);
    let mut pending = Course::new("");
    let before = pending.rollout.clone();
    pending.tell(Event::WarmedUp);
    pending.tell(Event::CandidateChanged);
    assert_eq!(pending.rollout, before);
}
