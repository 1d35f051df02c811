//! Whole rollouts in virtual time, and properties of every rollout.

mod blue_green;
mod missing;
mod pitfalls;
mod properties;
mod queries;
mod status;

use std::time::Duration;

use api::rollout::GuardKind;
use contract::{ActionKind, GateAnswer, GateDecision, OperatorAction};
use stats::{ArmCounts, Counts};

use super::*;
use crate::evidence::{Arms, Block, Evidence, MetricBlock, Window};

/// A rollout on a virtual clock, with all actions that it returned.
struct Scenario {
    rollout: Rollout,
    now: Timestamp,
    tick: Duration,
    actions: Vec<Action>,
}

/// Rates and traffic of a part of a scenario.
#[derive(Clone, Copy)]
struct Conditions {
    requests_per_second: u64,
    /// Errors per thousand requests.
    stable: u64,
    candidate: u64,
}

const HEALTHY: Conditions = Conditions {
    requests_per_second: 1000,
    stable: 5,
    candidate: 5,
};

const BROKEN: Conditions = Conditions {
    candidate: 300,
    ..HEALTHY
};

const SILENT: Conditions = Conditions {
    requests_per_second: 0,
    ..HEALTHY
};

/// Changes the readings of the guards.
type GuardChange = fn(&mut GuardReadings);

/// Changes a tick.
type TickChange = fn(&mut Tick);

/// Makes a scenario.
type MakeScenario = fn() -> Scenario;

/// Returns an answer of a gate in the words of its decision.
fn answered(decision: GateDecision) -> GateAnswer {
    let text = format!("{decision:?}");
    GateAnswer { decision, text }
}

impl Scenario {
    /// A canary with the metric of the reference and more keys.
    fn new(keys: &str) -> Self {
        let text = format!("rollout: {{id: a, model: m, stable: 1, candidate: 2{keys}}}");
        let config = RolloutConfig::parse(&text).unwrap();
        let (rollout, actions) = Rollout::start(config, Timestamp(0));
        Self {
            rollout,
            now: Timestamp(0),
            tick: Duration::from_secs(1),
            actions,
        }
    }

    /// One that has begun its first step, or whatever comes after the warm-up.
    fn warm(keys: &str) -> Self {
        let mut scenario = Self::new(keys);
        scenario.send_event(Event::CandidateReady);
        scenario.send_event(Event::WarmedUp);
        scenario
    }

    fn send_event(&mut self, event: Event) {
        let actions = self.rollout.handle(event, self.now);
        self.actions.extend(actions);
    }

    fn apply_action(&mut self, kind: ActionKind) -> Result<(), Refusal> {
        let action = OperatorAction {
            kind,
            actor: "ada".to_owned(),
            reason: "because".to_owned(),
            generation: None,
        };
        let actions = self.rollout.apply_action(&action, self.now)?;
        self.actions.extend(actions);
        Ok(())
    }

    /// Returns the counts of one tick.
    fn counted(&self, conditions: Conditions) -> Tick {
        let Traffic { weight, shadow, .. } = self.rollout.traffic();
        let n = conditions.requests_per_second * self.tick.as_secs();
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
                events: events(n_stable, conditions.stable),
            },
            candidate: Counts {
                n: n_candidate,
                events: events(n_candidate, conditions.candidate),
            },
        };
        Tick {
            blocks: vec![Block {
                weight,
                metrics: vec![MetricBlock::of_arms(arms); self.rollout.config().metrics.len()],
                units: Arms {
                    stable: n_stable,
                    candidate: n_candidate,
                },
                ..Block::default()
            }],
            n_candidate_requests: n_candidate,
            n_pairs: part(shadow),
            ..Tick::default()
        }
    }

    fn step(&mut self, conditions: Conditions, change: impl FnOnce(&mut Tick)) {
        let mut tick = self.counted(conditions);
        change(&mut tick);
        self.now = self.now + self.tick;
        self.send_event(Event::Tick(Box::new(tick)));
    }

    /// Lets time pass until `is_reached`, at most a day.
    fn until(&mut self, conditions: Conditions, is_reached: impl Fn(Phase) -> bool) -> &mut Self {
        let end = self.now + Duration::from_secs(24 * 3600);
        while !is_reached(self.phase()) && self.now < end {
            self.step(conditions, |_| {});
        }
        assert!(
            is_reached(self.phase()),
            "still {:?} after a day",
            self.phase()
        );
        self
    }

    fn run_for(&mut self, conditions: Conditions, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.now < end {
            self.step(conditions, |_| {});
        }
        self
    }

    fn phase(&self) -> Phase {
        self.rollout.progress().phase
    }

    fn transitions(&self) -> Vec<&Transition> {
        let mut transitions = Vec::new();
        for action in &self.actions {
            if let Action::Record(transition) = action {
                transitions.push(transition.as_ref());
            }
        }
        transitions
    }

    fn log(&self) -> String {
        let line = |action: &Action| match action {
            Action::Record(transition) => format!(
                "{:>6} s  {:?} -> {:?}: {} ({})",
                transition.at.0 / 1000,
                transition.from,
                transition.to,
                transition.reason,
                transition.actor
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
            | Action::QueryGate(_)
            | Action::Query(_)
            | Action::Alert(_)
            | Action::Release { .. } => format!("          {action:?}"),
        };
        self.actions.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns the window in which the candidate was worse at the end.
    fn worse_window(&self) -> Option<Window> {
        let Reason::WorseMetric(metric) = self.last_reason()? else {
            return None;
        };
        Some(metric.window)
    }

    /// Returns the guard that ended the rollout.
    fn last_guard(&self) -> Option<GuardKind> {
        let Reason::GuardReached { guard, .. } = self.last_reason()? else {
            return None;
        };
        Some(guard)
    }

    fn last_reason(&self) -> Option<Reason> {
        self.transitions()
            .last()
            .map(|transition| transition.reason.clone())
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
    let mut scenario = Scenario::warm(&format!("{QUICK}{SHADOW}, steps: [5, 50]"));
    scenario.until(HEALTHY, Phase::is_final);
    insta::assert_snapshot!(scenario.log());
}

#[test]
fn a_broken_candidate_goes_back_to_stable_before_it_is_unloaded() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5, 50]"));
    scenario
        .until(HEALTHY, is_step(1))
        .until(BROKEN, Phase::is_final);
    insta::assert_snapshot!(scenario.log());
}

#[test]
fn blue_green_goes_through_its_gate_to_all_of_the_traffic() {
    let keys = ", strategy: blue_green, soak: 1m, gates: [{before: promote, type: manual}]";
    let mut scenario = Scenario::warm(&format!("{keys}{SHADOW}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    scenario.run_for(HEALTHY, Duration::from_secs(600));
    scenario.apply_action(ActionKind::Promote).unwrap();
    scenario.until(HEALTHY, Phase::is_final);
    insta::assert_snapshot!(scenario.log());
}

#[test]
fn a_day_without_traffic_is_unknown_and_never_a_failure() {
    let mut scenario = Scenario::warm("");
    scenario.tick = Duration::from_secs(60);
    scenario.run_for(SILENT, Duration::from_secs(24 * 3600));
    let held = Phase::Held {
        reason: HoldReason::Unknown,
        stage: Stage::Step(0),
    };
    assert_eq!(scenario.phase(), held);
    assert_eq!(scenario.rollout.traffic().weight, 0.01);
    assert_eq!(scenario.transitions().len(), 3, "{}", scenario.log());
}

#[test]
fn evidence_that_comes_late_ends_the_hold() {
    let mut scenario = Scenario::warm(QUICK);
    scenario
        .until(SILENT, is_held(HoldReason::Unknown))
        .until(HEALTHY, is_step(1));
    assert_eq!(scenario.last_reason(), Some(Reason::NotWorse));
}

#[test]
fn a_flawless_candidate_needs_a_difference_to_be_promoted() {
    let flawless = Conditions {
        stable: 0,
        candidate: 0,
        ..HEALTHY
    };
    let metrics = |limits| {
        format!("{QUICK}, metrics: [{{name: errors, event: error, not_worse_than: {limits}}}]")
    };
    let mut with = Scenario::warm(&metrics("{ratio: 2.0, abs: 0.005}"));
    with.until(flawless, Phase::is_final);
    assert_eq!(with.phase(), Phase::Completed);
    let mut without = Scenario::warm(&metrics("{ratio: 2.0}"));
    without.run_for(flawless, Duration::from_secs(3600));
    assert!(
        without.phase().is_held_for(HoldReason::Unknown),
        "{}",
        without.log()
    );
}

#[test]
fn few_slow_answers_are_never_promoted() {
    // Seven of ten answers of the candidate are a hundred times slower than those of stable.
    let metric = "{name: slow, event: latency_over, at: stable_p99, not_worse_than: {ratio: 2.0, abs: 0.01}}";
    let keys =
        format!(", steps: [50], step: {{min_requests: 5, min_time: 0s}}, metrics: [{metric}]");
    let mut scenario = Scenario::warm(&keys);
    let counts = |events| Counts { n: 10, events };
    let arms = ArmCounts {
        stable: counts(0),
        candidate: counts(7),
    };
    scenario.step(SILENT, |tick| {
        tick.blocks[0].metrics = vec![MetricBlock::of_arms(arms)];
        tick.n_candidate_requests = 10;
    });
    scenario.run_for(SILENT, Duration::from_secs(3600));
    assert!(
        scenario.phase().is_held_for(HoldReason::Unknown),
        "{}",
        scenario.log()
    );
}

#[test]
fn a_break_after_a_million_healthy_requests_is_seen_in_the_step() {
    let mut scenario =
        Scenario::warm(", steps: [1, 2, 3, 4, 50], step: {min_requests: 10000, max_time: 24h}");
    // The share of stable's errors keeps the evidence of the start far below zero.
    let better = Conditions {
        candidate: 1,
        ..HEALTHY
    };
    scenario.until(better, is_step(4));
    let evidence = &scenario.rollout.progress().evidence;
    let errors = evidence.report(scenario.rollout.config()).metrics.remove(0);
    assert!(errors.ln_worse_step < 0.1, "{errors:?}");
    let before = scenario.now;
    scenario.until(
        Conditions {
            candidate: 12,
            ..HEALTHY
        },
        Phase::is_final,
    );
    assert_eq!(scenario.worse_window(), Some(Window::Step));
    assert!(
        scenario.now.since(before) < Duration::from_secs(60),
        "{}",
        scenario.log()
    );
}

#[test]
fn a_rollback_is_seen_while_held_and_while_a_gate_is_silent() {
    let gate = ", steps: [5, 50], gates: [{before: step_50, type: webhook, url: \"http://ci\"}]";
    let mut at_gate = Scenario::warm(&format!("{QUICK}{gate}"));
    at_gate
        .until(HEALTHY, is_held(HoldReason::Gate))
        .until(BROKEN, Phase::is_final);
    let asked = at_gate
        .actions
        .iter()
        .filter(|action| matches!(action, Action::QueryGate(_)));
    assert_eq!(asked.count(), 1, "an open call is not made twice");
    let mut held = Scenario::warm(QUICK);
    held.apply_action(ActionKind::Hold).unwrap();
    held.until(BROKEN, Phase::is_final);
    for scenario in [at_gate, held] {
        assert_eq!(scenario.phase(), Phase::RolledBack);
        assert!(scenario.worse_window().is_some(), "{}", scenario.log());
    }
}

#[test]
fn a_break_in_the_soak_is_seen() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
    scenario
        .run_for(HEALTHY, Duration::from_secs(60))
        .until(BROKEN, Phase::is_final);
    assert_eq!(scenario.worse_window(), Some(Window::Soak));
    assert_eq!(scenario.rollout.traffic().weight, 0.0);
}

#[test]
fn every_guard_rolls_back_at_once() {
    let guards: [(&str, GuardChange, GuardKind); 5] = [
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
        for (keys, conditions) in [(QUICK, HEALTHY), (SHADOW, SILENT)] {
            let mut scenario = Scenario::warm(&format!("{keys}, guards: {{{key}}}"));
            scenario.step(conditions, |_| {});
            let is_early = scenario.phase().is_final();
            scenario.step(conditions, |tick| read(&mut tick.guards));
            let is_right =
                scenario.phase() == Phase::RolledBack && scenario.last_guard() == Some(guard);
            if is_early || !is_right {
                failing.push(format!("{key}: {}", scenario.log()));
            }
        }
        let mut warming = Scenario::new(&format!(", guards: {{{key}}}"));
        warming.send_event(Event::CandidateReady);
        warming.step(SILENT, |tick| read(&mut tick.guards));
        if warming.phase() != Phase::Failed {
            failing.push(format!("{key} while warming up: {}", warming.log()));
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
        let mut scenario = Scenario::new("");
        for event in events {
            scenario.send_event(event);
        }
        assert_eq!(scenario.phase(), Phase::Failed);
        assert!(scenario.log().contains("Release"), "{}", scenario.log());
    }
}

#[test]
fn an_unhealthy_stable_and_drift_hold_until_they_are_over() {
    let signs: [(TickChange, HoldReason); 2] = [
        (
            |tick| tick.is_stable_unhealthy = true,
            HoldReason::StableUnhealthy,
        ),
        (|tick| tick.has_drifted = true, HoldReason::Drift),
    ];
    for (sign, reason) in signs {
        let mut scenario = Scenario::warm(QUICK);
        scenario.step(HEALTHY, sign);
        assert!(scenario.phase().is_held_for(reason), "{}", scenario.log());
        for _ in 0..30 {
            scenario.step(HEALTHY, sign);
        }
        assert!(scenario.phase().is_held_for(reason), "{}", scenario.log());
        scenario.until(HEALTHY, is_step(1));
    }
}

#[test]
fn a_split_that_is_off_suspends_verdicts_until_an_operator_resumes() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50], guards: {{nan_output: 1}}"));
    let lose = |tick: &mut Tick| tick.blocks[0].units.candidate /= 2;
    scenario.step(HEALTHY, |_| {});
    for _ in 0..10 {
        scenario.step(HEALTHY, lose);
    }
    assert!(
        scenario.phase().is_held_for(HoldReason::Srm),
        "{}",
        scenario.log()
    );
    scenario.run_for(BROKEN, Duration::from_secs(60));
    assert!(
        scenario.phase().is_held_for(HoldReason::Srm),
        "verdicts are suspended"
    );
    scenario.apply_action(ActionKind::Resume).unwrap();
    assert_eq!(scenario.rollout.progress().epoch, 2);
    assert_eq!(scenario.phase(), Phase::Running(Stage::Step(0)));
    scenario.until(HEALTHY, Phase::is_final);
    assert_eq!(scenario.phase(), Phase::Completed);
}

#[test]
fn guards_stay_armed_while_the_split_is_off() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
    for _ in 0..10 {
        scenario.step(HEALTHY, |tick| tick.blocks[0].units.candidate /= 2);
    }
    scenario.step(HEALTHY, |tick| tick.guards.nan_output = 1);
    assert_eq!(scenario.phase(), Phase::RolledBack);
}

#[test]
fn another_artefact_restarts_the_rollout() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5, 50]"));
    scenario.until(HEALTHY, is_step(1));
    scenario.send_event(Event::CandidateChanged);
    assert_eq!(scenario.phase(), Phase::Warmup);
    assert_eq!(scenario.rollout.traffic().weight, 0.0);
    let progress = scenario.rollout.progress();
    assert_eq!(progress.evidence, Evidence::new(scenario.rollout.config()));
    assert_eq!(progress.epoch, 2);
    scenario.send_event(Event::WarmedUp);
    scenario.until(HEALTHY, Phase::is_final);
    assert_eq!(scenario.phase(), Phase::Completed);
}

#[test]
fn a_rollback_waits_for_a_stable_version_that_is_ready() {
    let mut scenario = Scenario::warm(QUICK);
    scenario.until(HEALTHY, is_step(1));
    scenario.step(HEALTHY, |tick| {
        tick.stable = Availability::Loading;
        tick.guards.consecutive_errors = 1000;
    });
    for _ in 0..30 {
        scenario.step(BROKEN, |tick| tick.stable = Availability::Loading);
    }
    let alerts = scenario
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Alert(_)));
    assert_eq!(alerts.count(), 1, "{}", scenario.log());
    assert_eq!(
        scenario.phase(),
        Phase::Running(Stage::Step(1)),
        "the candidate is kept"
    );
    scenario.step(SILENT, |_| {});
    assert_eq!(scenario.phase(), Phase::RolledBack);
    assert_eq!(scenario.last_guard(), Some(GuardKind::ConsecutiveErrors));
}

#[test]
fn a_gate_is_asked_again_with_growing_waits() {
    let gate = ", steps: [5], gates: [{before: promote, type: webhook, url: \"http://ci\"}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    let mut waits = Vec::new();
    for _ in 0..7 {
        let asked = scenario.actions.len();
        scenario.send_event(Event::GateAnswered {
            gate: 0,
            answer: answered(GateDecision::Wait),
        });
        let refused = scenario.now;
        while scenario.actions.len() == asked {
            scenario.step(HEALTHY, |_| {});
        }
        assert_eq!(scenario.actions.last(), Some(&Action::QueryGate(0)));
        waits.push(scenario.now.since(refused).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    scenario.send_event(Event::GateAnswered {
        gate: 0,
        answer: answered(GateDecision::Proceed),
    });
    scenario.until(HEALTHY, |phase| phase == Phase::Running(Stage::Soak));
}

#[test]
fn a_gate_can_roll_back() {
    let gate = ", steps: [5], gates: [{before: promote, type: webhook, url: \"http://ci\"}]";
    let mut scenario = Scenario::warm(&format!("{QUICK}{gate}"));
    scenario.until(HEALTHY, is_held(HoldReason::Gate));
    scenario.send_event(Event::GateAnswered {
        gate: 0,
        answer: answered(GateDecision::RollBack),
    });
    assert_eq!(scenario.phase(), Phase::RolledBack);
    let reason = scenario.last_reason().unwrap().to_string();
    assert_eq!(
        reason,
        "gate `webhook before promote` asked for a rollback: RollBack"
    );
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
    for (label, expected) in rows {
        let rule = format!(", step: {{min_time: 1s, max_time: 60s, on_unknown: {label}}}");
        let mut scenario = Scenario::warm(&rule);
        scenario.run_for(SILENT, Duration::from_secs(60));
        assert_eq!(scenario.phase(), expected, "{label}");
    }
}

#[test]
fn a_shadow_without_pairs_is_held_with_its_reason() {
    let mut scenario = Scenario::warm(SHADOW);
    scenario
        .until(SILENT, is_held(HoldReason::Shadow))
        .until(HEALTHY, is_step(0));
}

#[test]
fn acts_are_allowed_where_they_make_sense() {
    const GATE: &str = ", gates: [{before: step_5, type: manual}]";
    let courses: [(&str, MakeScenario); 5] = [
        ("pending", || Scenario::new("")),
        ("step", || Scenario::warm(QUICK)),
        ("unknown", || {
            let mut scenario = Scenario::warm(QUICK);
            scenario.until(SILENT, is_held(HoldReason::Unknown));
            scenario
        }),
        ("gate", || {
            let mut scenario = Scenario::warm(&format!("{QUICK}{GATE}"));
            scenario.until(HEALTHY, is_held(HoldReason::Gate));
            scenario
        }),
        ("completed", || {
            let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [50]"));
            scenario.until(HEALTHY, Phase::is_final);
            scenario
        }),
    ];
    let acts = [
        ActionKind::Promote,
        ActionKind::Hold,
        ActionKind::Resume,
        ActionKind::Rollback,
        ActionKind::Abort,
    ];
    let mut table = String::new();
    for (name, make) in courses {
        for action in acts {
            let mut scenario = make();
            let outcome = match scenario.apply_action(action) {
                Ok(()) => format!("{:?}", scenario.phase()),
                Err(refusal) => refusal.to_string(),
            };
            table.push_str(&format!(
                "{name:<10} {:<9} {outcome}\n",
                format!("{action:?}")
            ));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_act_on_an_old_generation_is_refused() {
    let mut scenario = Scenario::warm(QUICK);
    let action = OperatorAction {
        kind: ActionKind::Rollback,
        actor: "ada".to_owned(),
        reason: String::new(),
        generation: Some(1),
    };
    let current = scenario.rollout.progress().generation;
    let refusal = scenario
        .rollout
        .apply_action(&action, scenario.now)
        .unwrap_err();
    assert_eq!(refusal, Refusal::Stale { given: 1, current });
    assert_eq!(scenario.phase(), Phase::Running(Stage::Step(0)));
}

#[test]
fn a_restart_goes_on_with_the_same_evidence() {
    let mut scenario = Scenario::warm(&format!("{QUICK}, steps: [5, 50]"));
    scenario.send_event(Event::ThresholdFrozen {
        metric: "slow".to_owned(),
        threshold: Duration::from_millis(20),
    });
    scenario
        .until(HEALTHY, is_step(1))
        .run_for(HEALTHY, Duration::from_secs(5));
    let stored = serde_json::to_string(scenario.rollout.progress()).unwrap();
    let read: Progress = serde_json::from_str(&stored).unwrap();
    let config = scenario.rollout.config().clone();
    let (resumed, actions) = Rollout::resume(config.clone(), read, scenario.now).unwrap();
    assert_eq!(
        actions.last(),
        Some(&Action::SetTraffic(scenario.rollout.traffic()))
    );
    let report = |rollout: &Rollout| rollout.progress().evidence.report(rollout.config());
    assert_eq!(
        format!("{:.9?}", report(&resumed)),
        format!("{:.9?}", report(&scenario.rollout))
    );
    scenario.rollout = resumed;
    scenario.until(HEALTHY, Phase::is_final);
    assert_eq!(scenario.phase(), Phase::Completed);

    let other = Scenario::new(", steps: [5]").rollout.config().clone();
    let foreign = RolloutConfig {
        metrics: Vec::new(),
        ..other
    };
    let read = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        Rollout::resume(foreign, read, scenario.now),
        Err(ProgressMismatch)
    );
}
