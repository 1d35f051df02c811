//! What others see.

use serde_json::{Value, json};

use super::*;

fn status(course: &Course) -> Value {
    serde_json::to_value(course.rollout.status()).unwrap()
}

#[test]
fn the_status_has_the_shape_of_the_reference() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [5, 50]"));
    course.step(HEALTHY, |_| {});
    let expected = json!({
        "id": "a",
        "model": "m",
        "state": "step",
        "step": 0,
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
        "missing": ["errors: ln_not_worse 0.23 of 3.69, or difference up to 0.3143 of 0.0050"],
    });
    assert_eq!(status(&course), expected);
}

#[test]
fn the_status_tells_why_it_is_held_and_why_it_ended() {
    let mut course = Course::warm(QUICK);
    course.act(ActKind::Hold).unwrap();
    assert_eq!(status(&course)["reason"], "operator");
    assert_eq!(status(&course)["step"], 0);
    course.act(ActKind::Abort).unwrap();
    assert_eq!(status(&course)["state"], "aborted");
    assert_eq!(status(&course)["reason"], "an operator: because");
    assert_eq!(status(&course)["missing"], json!([]));
}

#[test]
fn verdicts_are_told_in_every_stage() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
    assert_eq!(status(&course)["verdict"], "unknown");
    course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    assert_eq!(status(&course)["verdict"], "not_worse");
    course.until(BROKEN, Phase::is_final);
    assert_eq!(status(&course)["verdict"], "worse");
    assert_eq!(status(&course)["reason"], "worse than stable was");

    let mut mismatched = Course::warm(&format!("{QUICK}, steps: [50]"));
    for _ in 0..10 {
        mismatched.step(BROKEN, |tick| {
            tick.metrics = Vec::new();
            tick.n_candidate_units /= 2;
        });
    }
    assert_eq!(status(&mismatched)["reason"], "srm");
    assert_eq!(status(&mismatched)["verdict"], "unknown");
}

/// Plays a course to its place, and names the verdict that is right there.
type VerdictCase = (&'static str, &'static str, Make);

/// The states of a rollout, each with a candidate that may look better or worse than the verdict.
const VERDICTS: [VerdictCase; 14] = [
    ("pending", "unknown", || Course::new(QUICK)),
    ("warmup", "unknown", || {
        let mut course = Course::new(QUICK);
        course.tell(Event::CandidateReady);
        course
    }),
    ("shadow", "unknown", || {
        Course::warm(&format!("{QUICK}{SHADOW}"))
    }),
    ("step", "unknown", || Course::warm(QUICK)),
    ("step", "not_worse", not_worse),
    ("held", "not_worse", || {
        let mut course = not_worse();
        course.act(ActKind::Hold).unwrap();
        course
    }),
    ("promoting", "not_worse", || {
        let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
        course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Promoting));
        course
    }),
    ("soak", "not_worse", || soaking(HEALTHY)),
    ("completed", "not_worse", || {
        let mut course = soaking(HEALTHY);
        course.until(SILENT, Phase::is_final);
        course
    }),
    ("rolled_back", "worse", || {
        let mut course = Course::warm(QUICK);
        course.until(BROKEN, Phase::is_final);
        course
    }),
    // A guard fires, an operator sends it back or ends it, while the scores still say "not worse".
    ("rolled_back", "worse", || {
        let mut course = not_worse();
        course.step(HEALTHY, |tick| tick.guards.nan_output = 1000);
        course
    }),
    ("rolled_back", "worse", || {
        let mut course = not_worse();
        course.act(ActKind::Rollback).unwrap();
        course
    }),
    ("aborted", "worse", || {
        let mut course = not_worse();
        course.act(ActKind::Abort).unwrap();
        course
    }),
    ("failed", "worse", || {
        let mut course = Course::new(QUICK);
        course.tell(Event::CandidateFailed("no file".to_owned()));
        course
    }),
];

/// A course in a step that its evidence would allow to leave.
fn not_worse() -> Course {
    let keys =
        "step: {min_time: 10h, max_time: 20h}, soak: 2m, steps: [50], guards: {nan_output: 3}";
    let mut course = Course::warm(&format!(", {keys}"));
    for _ in 0..300 {
        course.step(HEALTHY, |_| {});
    }
    course
}

fn soaking(world: World) -> Course {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
    course.until(world, |phase| phase == Phase::Running(Stage::Soak));
    course
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
    let wanted: Vec<_> = VERDICTS
        .iter()
        .map(|(state, verdict, _)| (json!(state), json!(verdict)))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_rollback_that_waits_for_stable_is_not_called_not_worse() {
    let mut course = not_worse();
    assert_eq!(status(&course)["verdict"], "not_worse");
    course.step(HEALTHY, |tick| {
        tick.is_stable_ready = false;
        tick.guards.nan_output = 1000;
    });
    assert!(!course.phase().is_final());
    assert_eq!(status(&course)["verdict"], "unknown");
}

#[test]
fn the_numbers_name_guards_and_the_soak_with_their_limits() {
    let mut course = Course::warm(&format!(
        "{QUICK}, steps: [50], guards: {{nan_output: 3, memory_ratio: 1.5}}"
    ));
    course.step(HEALTHY, |tick| {
        tick.guards.nan_output = 2;
        tick.guards.memory_ratio = 1.25;
    });
    let numbers = serde_json::to_value(course.rollout.numbers()).unwrap();
    let guards = json!([
        {"name": "nan_output", "count": 2.0, "limit": 3.0},
        {"name": "memory_ratio", "count": 1.25, "limit": 1.5},
    ]);
    assert_eq!(numbers["guards"], guards);
    assert_eq!(numbers["metrics"][0]["name"], "errors");
    assert_eq!(numbers.get("soak"), None);
    course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    course.pass(HEALTHY, Duration::from_secs(30));
    let soak = course.rollout.numbers().soak.unwrap();
    // Two minutes are twelve blocks of ten seconds.
    assert!(
        (soak.limit - (12.0_f64 / 0.001).ln()).abs() < 1e-9,
        "{soak:?}"
    );
    assert!(soak.ln_d.unwrap() < 1.0, "{soak:?}");
}

#[test]
fn moments_are_read_by_people() {
    assert_eq!(
        Moment(1_767_323_045_000).to_string(),
        "2026-01-02T03:04:05Z"
    );
    assert!(Moment(u64::MAX).to_string().starts_with("9999-12-"));
}
