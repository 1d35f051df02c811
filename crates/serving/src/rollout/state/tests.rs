//! Whole courses in virtual time, and what no course may do.

mod pitfalls;
mod properties;
mod status;

use std::time::Duration;

use contract::{Act, ActKind, GateAnswer};

use super::*;
use crate::rollout::evidence::{Evidence, MetricBlock};
use crate::rollout::statistics::{ArmCounts, Counts};

/// A rollout on a virtual clock, with everything it asked for.
struct Course {
    rollout: Rollout,
    now: Moment,
    tick: Duration,
    actions: Vec<Action>,
}

/// Rates and traffic of a time in a course.
#[derive(Clone, Copy)]
struct World {
    requests_per_second: u64,
    /// Errors per thousand requests.
    stable: u64,
    candidate: u64,
}

const HEALTHY: World = World {
    requests_per_second: 1000,
    stable: 5,
    candidate: 5,
};

const BROKEN: World = World {
    candidate: 300,
    ..HEALTHY
};

const SILENT: World = World {
    requests_per_second: 0,
    ..HEALTHY
};

/// Changes what the guards read.
type Readings = fn(&mut GuardReadings);

/// Changes what a tick says.
type Sign = fn(&mut Tick);

/// Makes a course.
type Make = fn() -> Course;

impl Course {
    /// A canary with the metric of the reference and more keys.
    fn new(keys: &str) -> Self {
        let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2{keys}}}");
        let config = RolloutConfig::parse(&text).unwrap();
        let (rollout, actions) = Rollout::start(config, Moment(0));
        Self {
            rollout,
            now: Moment(0),
            tick: Duration::from_secs(1),
            actions,
        }
    }

    /// One that has begun its first step, or whatever comes after the warm-up.
    fn warm(keys: &str) -> Self {
        let mut course = Self::new(keys);
        course.tell(Event::CandidateReady);
        course.tell(Event::WarmedUp);
        course
    }

    fn tell(&mut self, event: Event) {
        let actions = self.rollout.handle(event, self.now);
        self.actions.extend(actions);
    }

    fn act(&mut self, kind: ActKind) -> Result<(), Refusal> {
        let act = Act {
            kind,
            actor: "ada".to_owned(),
            reason: "because".to_owned(),
            generation: None,
        };
        let actions = self.rollout.act(&act, self.now)?;
        self.actions.extend(actions);
        Ok(())
    }

    /// What would be counted in one tick.
    fn counted(&self, world: World) -> Tick {
        let Traffic { weight, shadow, .. } = self.rollout.traffic();
        let n = world.requests_per_second * self.tick.as_secs();
        let percent = |share: f64| {
            (1..=100)
                .filter(|p| f64::from(*p) <= share * 100.0 + 1e-9)
                .count()
        };
        let part = |share: f64| n * u64::try_from(percent(share)).unwrap() / 100;
        let n_candidate = part(weight);
        let n_stable = n - n_candidate;
        // Errors come in lumps, as whole numbers over the time so far.
        let second = self.now.0 / 1000;
        let events = |n: u64, rate: u64| {
            let so_far = |ticks: u64| ticks * n * rate / 1000;
            so_far(second / self.tick.as_secs() + 1) - so_far(second / self.tick.as_secs())
        };
        let arms = ArmCounts {
            stable: Counts {
                n: n_stable,
                events: events(n_stable, world.stable),
            },
            candidate: Counts {
                n: n_candidate,
                events: events(n_candidate, world.candidate),
            },
        };
        Tick {
            metrics: vec![MetricBlock::of_arms(arms); self.rollout.config().metrics.len()],
            n_candidate_requests: n_candidate,
            n_pairs: part(shadow),
            n_stable_units: n_stable,
            n_candidate_units: n_candidate,
            is_stable_ready: true,
            ..Tick::default()
        }
    }

    fn step(&mut self, world: World, change: impl FnOnce(&mut Tick)) {
        let mut tick = self.counted(world);
        change(&mut tick);
        self.now = self.now + self.tick;
        self.tell(Event::Tick(Box::new(tick)));
    }

    /// Lets time pass until `is_reached`, at most a day.
    fn until(&mut self, world: World, is_reached: impl Fn(Phase) -> bool) -> &mut Self {
        let end = self.now + Duration::from_secs(24 * 3600);
        while !is_reached(self.phase()) && self.now < end {
            self.step(world, |_| {});
        }
        assert!(
            is_reached(self.phase()),
            "still {:?} after a day",
            self.phase()
        );
        self
    }

    fn pass(&mut self, world: World, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.now < end {
            self.step(world, |_| {});
        }
        self
    }

    fn phase(&self) -> Phase {
        self.rollout.progress().phase
    }

    fn moves(&self) -> Vec<&Transition> {
        let mut moves = Vec::new();
        for action in &self.actions {
            if let Action::Record(moved) = action {
                moves.push(moved.as_ref());
            }
        }
        moves
    }

    fn story(&self) -> String {
        let line = |action: &Action| match action {
            Action::Record(moved) => format!(
                "{:>6} s  {:?} -> {:?}: {} ({})",
                moved.at.0 / 1000,
                moved.from,
                moved.to,
                moved.reason,
                moved.actor
            ),
            Action::SetTraffic(Traffic {
                weight,
                shadow,
                generation,
            }) => {
                format!("          weight {weight}, shadow {shadow}, generation {generation}")
            }
            Action::Load
            | Action::WarmUp
            | Action::AskGate(_)
            | Action::Alert(_)
            | Action::Release { .. } => format!("          {action:?}"),
        };
        self.actions.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn last_reason(&self) -> Option<Reason> {
        self.moves().last().map(|moved| moved.reason.clone())
    }
}

fn is_step(step: usize) -> impl Fn(Phase) -> bool {
    move |phase| phase == Phase::Running(Stage::Step(step))
}

fn is_held(reason: HoldReason) -> impl Fn(Phase) -> bool {
    move |phase| phase.is_held_for(reason)
}

const QUICK: &str = ", step: {min_time: 10s, min_requests: 100, max_time: 10m}, soak: 2m";
const SHADOW: &str = ", shadow: {percent: 50, min_pairs: 1000}";

#[test]
fn a_healthy_candidate_climbs_to_all_of_the_traffic() {
    let mut course = Course::warm(&format!("{QUICK}{SHADOW}, steps: [5, 50]"));
    course.until(HEALTHY, Phase::is_final);
    insta::assert_snapshot!(course.story());
}

#[test]
fn a_broken_candidate_goes_back_to_stable_before_it_is_unloaded() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [5, 50]"));
    course
        .until(HEALTHY, is_step(1))
        .until(BROKEN, Phase::is_final);
    insta::assert_snapshot!(course.story());
}

#[test]
fn blue_green_goes_through_its_gate_to_all_of_the_traffic() {
    let keys = ", strategy: blue_green, soak: 1m, gates: [{before: promote, type: manual}]";
    let mut course = Course::warm(&format!("{keys}{SHADOW}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    course.pass(HEALTHY, Duration::from_secs(600));
    course.act(ActKind::Promote).unwrap();
    course.until(HEALTHY, Phase::is_final);
    insta::assert_snapshot!(course.story());
}

#[test]
fn a_day_without_traffic_is_unknown_and_never_a_failure() {
    let mut course = Course::warm("");
    course.tick = Duration::from_secs(60);
    course.pass(SILENT, Duration::from_secs(24 * 3600));
    let held = Phase::Held {
        reason: HoldReason::Unknown,
        stage: Stage::Step(0),
    };
    assert_eq!(course.phase(), held);
    assert_eq!(course.rollout.traffic().weight, 0.01);
    assert_eq!(course.moves().len(), 3, "{}", course.story());
}

#[test]
fn evidence_that_comes_late_ends_the_hold() {
    let mut course = Course::warm(QUICK);
    course
        .until(SILENT, is_held(HoldReason::Unknown))
        .until(HEALTHY, is_step(1));
    assert_eq!(course.last_reason(), Some(Reason::NotWorse));
}

#[test]
fn a_flawless_candidate_needs_a_difference_to_be_promoted() {
    let flawless = World {
        stable: 0,
        candidate: 0,
        ..HEALTHY
    };
    let metrics = |limits| {
        format!("{QUICK}, metrics: [{{name: errors, event: error, not_worse_than: {limits}}}]")
    };
    let mut with = Course::warm(&metrics("{ratio: 2.0, abs: 0.005}"));
    with.until(flawless, Phase::is_final);
    assert_eq!(with.phase(), Phase::Completed);
    let mut without = Course::warm(&metrics("{ratio: 2.0}"));
    without.pass(flawless, Duration::from_secs(3600));
    assert!(
        without.phase().is_held_for(HoldReason::Unknown),
        "{}",
        without.story()
    );
}

#[test]
fn few_slow_answers_are_never_promoted() {
    // Seven of ten answers of the candidate are a hundred times slower than those of stable.
    let metric = "{name: slow, event: latency_over, at: stable_p99, not_worse_than: {ratio: 2.0, abs: 0.01}}";
    let keys =
        format!(", steps: [50], step: {{min_requests: 5, min_time: 0s}}, metrics: [{metric}]");
    let mut course = Course::warm(&keys);
    let counts = |events| Counts { n: 10, events };
    let arms = ArmCounts {
        stable: counts(0),
        candidate: counts(7),
    };
    course.step(SILENT, |tick| {
        tick.metrics = vec![MetricBlock::of_arms(arms)];
        tick.n_candidate_requests = 10;
    });
    course.pass(SILENT, Duration::from_secs(3600));
    assert!(
        course.phase().is_held_for(HoldReason::Unknown),
        "{}",
        course.story()
    );
}

#[test]
fn a_break_after_a_million_healthy_requests_is_seen_in_the_step() {
    let mut course =
        Course::warm(", steps: [1, 2, 3, 4, 50], step: {min_requests: 10000, max_time: 24h}");
    // The share of stable's errors keeps the evidence of the start far below zero.
    let better = World {
        candidate: 1,
        ..HEALTHY
    };
    course.until(better, is_step(4));
    let combined = course
        .rollout
        .progress()
        .evidence
        .report(course.rollout.config())
        .combined;
    assert!(combined.ln_start < -5.0, "{combined:?}");
    let before = course.now;
    course.until(
        World {
            candidate: 12,
            ..HEALTHY
        },
        Phase::is_final,
    );
    assert_eq!(course.last_reason(), Some(Reason::Worse(Window::Step)));
    assert!(
        course.now.since(before) < Duration::from_secs(60),
        "{}",
        course.story()
    );
}

#[test]
fn a_rollback_is_seen_while_held_and_while_a_gate_is_silent() {
    let gate = ", steps: [5, 50], gates: [{before: step_50, type: webhook, url: \"http://ci\"}]";
    let mut at_gate = Course::warm(&format!("{QUICK}{gate}"));
    at_gate
        .until(HEALTHY, is_held(HoldReason::Gate))
        .until(BROKEN, Phase::is_final);
    let asked = at_gate
        .actions
        .iter()
        .filter(|action| matches!(action, Action::AskGate(_)));
    assert_eq!(asked.count(), 1, "an open call is not made twice");
    let mut held = Course::warm(QUICK);
    held.act(ActKind::Hold).unwrap();
    held.until(BROKEN, Phase::is_final);
    for course in [at_gate, held] {
        assert_eq!(course.phase(), Phase::RolledBack);
        assert!(
            matches!(course.last_reason(), Some(Reason::Worse(_))),
            "{}",
            course.story()
        );
    }
}

#[test]
fn a_break_in_the_soak_is_seen() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
    course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    course
        .pass(HEALTHY, Duration::from_secs(60))
        .until(BROKEN, Phase::is_final);
    assert_eq!(course.last_reason(), Some(Reason::Worse(Window::Soak)));
    assert_eq!(course.rollout.traffic().weight, 0.0);
}

#[test]
fn every_guard_rolls_back_at_once() {
    let guards: [(&str, Readings, GuardKind); 5] = [
        (
            "nan_output: 3",
            |guards| guards.nan_output = 3,
            GuardKind::NanOutput,
        ),
        (
            "consecutive_errors: 20",
            |guards| guards.consecutive_errors = 20,
            GuardKind::ConsecutiveErrors,
        ),
        (
            "load_failure: 1",
            |guards| guards.load_failure = 1,
            GuardKind::LoadFailure,
        ),
        (
            "shape_change: 1",
            |guards| guards.shape_change = 1,
            GuardKind::ShapeChange,
        ),
        (
            "memory_ratio: 1.5",
            |guards| guards.memory_ratio = 1.6,
            GuardKind::MemoryRatio,
        ),
    ];
    let mut failing = Vec::new();
    for (key, read, guard) in guards {
        for (keys, world) in [(QUICK, HEALTHY), (SHADOW, SILENT)] {
            let mut course = Course::warm(&format!("{keys}, guards: {{{key}}}"));
            course.step(world, |_| {});
            let is_early = course.phase().is_final();
            course.step(world, |tick| read(&mut tick.guards));
            let is_right = course.phase() == Phase::RolledBack
                && course.last_reason() == Some(Reason::Guard(guard));
            if is_early || !is_right {
                failing.push(format!("{key}: {}", course.story()));
            }
        }
        let mut warming = Course::new(&format!(", guards: {{{key}}}"));
        warming.tell(Event::CandidateReady);
        warming.step(SILENT, |tick| read(&mut tick.guards));
        if warming.phase() != Phase::Failed {
            failing.push(format!("{key} while warming up: {}", warming.story()));
        }
    }
    assert!(failing.is_empty(), "{failing:#?}");
}

#[test]
fn a_candidate_that_cannot_be_used_fails() {
    let failed = || Event::CandidateFailed("no file".to_owned());
    for events in [
        vec![failed()],
        vec![Event::CandidateReady, failed()],
        vec![
            Event::CandidateReady,
            Event::WarmupFailed("slow".to_owned()),
        ],
    ] {
        let mut course = Course::new("");
        for event in events {
            course.tell(event);
        }
        assert_eq!(course.phase(), Phase::Failed);
        assert!(course.story().contains("Release"), "{}", course.story());
    }
}

#[test]
fn a_burning_stable_and_drift_hold_until_they_are_over() {
    let signs: [(Sign, HoldReason); 2] = [
        (
            |tick| tick.is_stable_burning = true,
            HoldReason::StableBurning,
        ),
        (|tick| tick.has_drifted = true, HoldReason::Drift),
    ];
    for (sign, reason) in signs {
        let mut course = Course::warm(QUICK);
        course.step(HEALTHY, sign);
        assert!(course.phase().is_held_for(reason), "{}", course.story());
        for _ in 0..30 {
            course.step(HEALTHY, sign);
        }
        assert!(course.phase().is_held_for(reason), "{}", course.story());
        course.until(HEALTHY, is_step(1));
    }
}

#[test]
fn a_split_that_is_off_suspends_verdicts_until_an_operator_resumes() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50], guards: {{nan_output: 1}}"));
    let lose = |tick: &mut Tick| tick.n_candidate_units /= 2;
    course.step(HEALTHY, |_| {});
    for _ in 0..10 {
        course.step(HEALTHY, lose);
    }
    assert!(
        course.phase().is_held_for(HoldReason::Srm),
        "{}",
        course.story()
    );
    course.pass(BROKEN, Duration::from_secs(60));
    assert!(
        course.phase().is_held_for(HoldReason::Srm),
        "verdicts are suspended"
    );
    course.act(ActKind::Resume).unwrap();
    assert_eq!(course.rollout.progress().epoch, 2);
    assert_eq!(course.phase(), Phase::Running(Stage::Step(0)));
    course.until(HEALTHY, Phase::is_final);
    assert_eq!(course.phase(), Phase::Completed);
}

#[test]
fn guards_stay_armed_while_the_split_is_off() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
    for _ in 0..10 {
        course.step(HEALTHY, |tick| tick.n_candidate_units /= 2);
    }
    course.step(HEALTHY, |tick| tick.guards.nan_output = 1);
    assert_eq!(course.phase(), Phase::RolledBack);
}

#[test]
fn another_artefact_begins_again() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [5, 50]"));
    course.until(HEALTHY, is_step(1));
    course.tell(Event::CandidateChanged);
    assert_eq!(course.phase(), Phase::Warmup);
    assert_eq!(course.rollout.traffic().weight, 0.0);
    let progress = course.rollout.progress();
    assert_eq!(progress.evidence, Evidence::new(course.rollout.config()));
    assert_eq!(progress.epoch, 2);
    course.tell(Event::WarmedUp);
    course.until(HEALTHY, Phase::is_final);
    assert_eq!(course.phase(), Phase::Completed);
}

#[test]
fn a_rollback_waits_for_a_stable_version_that_is_ready() {
    let mut course = Course::warm(QUICK);
    course.until(HEALTHY, is_step(1));
    for _ in 0..30 {
        course.step(BROKEN, |tick| tick.is_stable_ready = false);
    }
    let alerts = course
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Alert(_)));
    assert_eq!(alerts.count(), 1, "{}", course.story());
    assert_eq!(
        course.phase(),
        Phase::Running(Stage::Step(1)),
        "the candidate is kept"
    );
    course.step(SILENT, |_| {});
    assert_eq!(course.phase(), Phase::RolledBack);
    assert!(matches!(course.last_reason(), Some(Reason::Worse(_))));
}

#[test]
fn a_gate_is_asked_again_with_growing_waits() {
    let gate = ", steps: [5], gates: [{before: promote, type: webhook, url: \"http://ci\"}]";
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    let mut waits = Vec::new();
    for _ in 0..7 {
        let asked = course.actions.len();
        course.tell(Event::GateAnswered {
            gate: 0,
            answer: GateAnswer::Wait,
        });
        let refused = course.now;
        while course.actions.len() == asked {
            course.step(HEALTHY, |_| {});
        }
        assert_eq!(course.actions.last(), Some(&Action::AskGate(0)));
        waits.push(course.now.since(refused).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    course.tell(Event::GateAnswered {
        gate: 0,
        answer: GateAnswer::Go,
    });
    course.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
}

#[test]
fn a_gate_can_roll_back() {
    let gate = ", steps: [5], gates: [{before: promote, type: webhook, url: \"http://ci\"}]";
    let mut course = Course::warm(&format!("{QUICK}{gate}"));
    course.until(HEALTHY, is_held(HoldReason::Gate));
    course.tell(Event::GateAnswered {
        gate: 0,
        answer: GateAnswer::RollBack,
    });
    assert_eq!(course.phase(), Phase::RolledBack);
    assert_eq!(course.last_reason(), Some(Reason::Gate));
}

#[test]
fn a_file_may_say_what_happens_without_a_verdict() {
    let rows = [
        (
            "hold",
            Phase::Held {
                reason: HoldReason::Unknown,
                stage: Stage::Step(0),
            },
        ),
        ("promote", Phase::Running(Stage::Step(1))),
        ("rollback", Phase::RolledBack),
    ];
    for (word, expected) in rows {
        let rule = format!(", step: {{min_time: 1s, max_time: 60s, on_unknown: {word}}}");
        let mut course = Course::warm(&rule);
        course.pass(SILENT, Duration::from_secs(60));
        assert_eq!(course.phase(), expected, "{word}");
    }
}

#[test]
fn a_shadow_without_pairs_holds_and_says_so() {
    let mut course = Course::warm(SHADOW);
    course
        .until(SILENT, is_held(HoldReason::Shadow))
        .until(HEALTHY, is_step(0));
}

#[test]
fn acts_are_allowed_where_they_make_sense() {
    const GATE: &str = ", gates: [{before: step_5, type: manual}]";
    let courses: [(&str, Make); 5] = [
        ("pending", || Course::new("")),
        ("step", || Course::warm(QUICK)),
        ("unknown", || {
            let mut course = Course::warm(QUICK);
            course.until(SILENT, is_held(HoldReason::Unknown));
            course
        }),
        ("gate", || {
            let mut course = Course::warm(&format!("{QUICK}{GATE}"));
            course.until(HEALTHY, is_held(HoldReason::Gate));
            course
        }),
        ("completed", || {
            let mut course = Course::warm(&format!("{QUICK}, steps: [50]"));
            course.until(HEALTHY, Phase::is_final);
            course
        }),
    ];
    let acts = [
        ActKind::Promote,
        ActKind::Hold,
        ActKind::Resume,
        ActKind::Rollback,
        ActKind::Abort,
    ];
    let mut table = String::new();
    for (name, make) in courses {
        for act in acts {
            let mut course = make();
            let outcome = match course.act(act) {
                Ok(()) => format!("{:?}", course.phase()),
                Err(refusal) => refusal.to_string(),
            };
            table.push_str(&format!("{name:<10} {:<9} {outcome}\n", format!("{act:?}")));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_act_on_an_old_generation_is_refused() {
    let mut course = Course::warm(QUICK);
    let act = Act {
        kind: ActKind::Rollback,
        actor: "ada".to_owned(),
        reason: String::new(),
        generation: Some(1),
    };
    let current = course.rollout.progress().generation;
    let refusal = course.rollout.act(&act, course.now).unwrap_err();
    assert_eq!(refusal, Refusal::Stale { given: 1, current });
    assert_eq!(course.phase(), Phase::Running(Stage::Step(0)));
}

#[test]
fn a_restart_goes_on_with_the_same_evidence() {
    let mut course = Course::warm(&format!("{QUICK}, steps: [5, 50]"));
    course.tell(Event::ThresholdFrozen {
        metric: "slow".to_owned(),
        threshold: Duration::from_millis(20),
    });
    course
        .until(HEALTHY, is_step(1))
        .pass(HEALTHY, Duration::from_secs(5));
    let stored = serde_json::to_string(course.rollout.progress()).unwrap();
    let read: Progress = serde_json::from_str(&stored).unwrap();
    let config = course.rollout.config().clone();
    let (resumed, actions) = Rollout::resume(config.clone(), read, course.now).unwrap();
    assert_eq!(
        actions.last(),
        Some(&Action::SetTraffic(course.rollout.traffic()))
    );
    let report = |rollout: &Rollout| rollout.progress().evidence.report(rollout.config());
    assert_eq!(
        format!("{:.9?}", report(&resumed)),
        format!("{:.9?}", report(&course.rollout))
    );
    course.rollout = resumed;
    course.until(HEALTHY, Phase::is_final);
    assert_eq!(course.phase(), Phase::Completed);

    let other = Course::new(", steps: [5]").rollout.config().clone();
    let foreign = RolloutConfig {
        metrics: Vec::new(),
        ..other
    };
    let read = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        Rollout::resume(foreign, read, course.now),
        Err(ForeignProgress)
    );
}
