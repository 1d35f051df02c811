//! Properties that hold for every order of events.

use proptest::prelude::*;

use super::*;

/// One thing that may happen to a rollout.
#[derive(Clone, Debug)]
enum Input {
    Counts {
        n: u64,
        candidate_errors: u64,
        stable_errors: u64,
        seconds: u64,
    },
    Guard,
    StableUnhealthy,
    StableGone,
    CandidateGone,
    Changed,
    Ready,
    WarmedUp,
    Answer(GateDecision),
    OperatorAction(ActionKind),
}

fn input() -> impl Strategy<Value = Input> {
    let counts = (0_u64..20_000, 0_u64..100, 0_u64..100, 1_u64..700).prop_map(
        |(n, candidate_errors, stable_errors, seconds)| Input::Counts {
            n,
            candidate_errors,
            stable_errors,
            seconds,
        },
    );
    let answers = [
        GateDecision::Proceed,
        GateDecision::Wait,
        GateDecision::RollBack,
    ];
    let acts = [
        ActionKind::Hold,
        ActionKind::Resume,
        ActionKind::Rollback,
        ActionKind::Abort,
    ];
    prop_oneof![
        40 => counts,
        4 => Just(Input::Ready),
        4 => Just(Input::WarmedUp),
        2 => Just(Input::StableUnhealthy),
        2 => Just(Input::StableGone),
        2 => Just(Input::CandidateGone),
        1 => Just(Input::Guard),
        1 => Just(Input::Changed),
        3 => prop::sample::select(answers.to_vec()).prop_map(Input::Answer),
        2 => prop::sample::select(acts.to_vec()).prop_map(Input::OperatorAction),
    ]
}

fn apply(scenario: &mut Scenario, input: &Input) {
    match input {
        Input::Counts {
            n,
            candidate_errors,
            stable_errors,
            seconds,
        } => {
            let weight = scenario.rollout.traffic().weight;
            let n_candidate = if weight > 0.0 { n / 5 } else { 0 };
            let counts = |n: u64, events: u64| Counts {
                n,
                events: events.min(n),
            };
            let arms = ArmCounts {
                stable: counts(n - n_candidate, *stable_errors),
                candidate: counts(n_candidate, *candidate_errors),
            };
            scenario.tick = Duration::from_secs(*seconds);
            scenario.step(SILENT, |tick| {
                tick.blocks[0].metrics = vec![MetricBlock::of_arms(arms)];
                tick.n_candidate_requests = n_candidate;
                tick.n_pairs = *n;
            });
        }
        Input::Guard => scenario.step(SILENT, |tick| tick.guards.nan_output = 1),
        Input::StableUnhealthy => scenario.step(SILENT, |tick| tick.is_stable_unhealthy = true),
        Input::StableGone => scenario.step(SILENT, |tick| tick.stable = Availability::Missing),
        Input::CandidateGone => {
            scenario.step(SILENT, |tick| tick.candidate = Availability::Missing);
        }
        Input::Changed => scenario.send_event(Event::CandidateChanged),
        Input::Ready => scenario.send_event(Event::CandidateReady),
        Input::WarmedUp => scenario.send_event(Event::WarmedUp),
        Input::Answer(answer) => {
            scenario.send_event(Event::GateAnswered {
                gate: 0,
                answer: answered(*answer),
            });
        }
        Input::OperatorAction(kind) => {
            let before = scenario.rollout.clone();
            if scenario.apply_action(*kind).is_err() {
                assert_eq!(scenario.rollout, before, "a refused action changes nothing");
            }
        }
    }
}

/// Weight 0 to the first step needs no verdict; above that every rise does.
fn check_advance(scenario: &Scenario, from: f64) {
    let weight = scenario.rollout.traffic().weight;
    if weight <= from || from == 0.0 {
        return;
    }
    let transitions = scenario.transitions();
    let transition = transitions.last().expect("a rise is recorded");
    assert_eq!(transition.generation, scenario.rollout.traffic().generation);
    assert_eq!(transition.reason, Reason::NotWorse, "{from} to {weight}");
    assert!(transition.evidence.is_not_worse(scenario.rollout.config()));
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_the_rules(
        inputs in prop::collection::vec(input(), 1..120),
        has_shadow in any::<bool>(),
    ) {
        let gate = "gates: [{before: step_50, type: webhook, url: \"http://ci\"}]";
        let shadow = if has_shadow { SHADOW } else { "" };
        let mut scenario = Scenario::new(&format!(", steps: [5, 20, 50], soak: 5m, {gate}{shadow}"));
        let mut generation = 0;
        for input in &inputs {
            let before = scenario.rollout.clone();
            let from = before.traffic().weight;
            apply(&mut scenario, input);
            check_advance(&scenario, from);
            if before.progress().phase.is_final() {
                prop_assert_eq!(&scenario.rollout, &before, "final states absorb");
            }
            let traffic = scenario.rollout.traffic();
            prop_assert!(traffic.generation >= generation);
            generation = traffic.generation;
            // The traffic that was set last is that of the state.
            let mut traffic_set = None;
            for action in &scenario.actions {
                if let Action::SetTraffic(traffic) = action {
                    traffic_set = Some((traffic.weight, traffic.shadow));
                }
            }
            prop_assert_eq!(traffic_set.unwrap_or((0.0, 0.0)), (traffic.weight, traffic.shadow));
        }
        let position = |is_it: fn(&Action) -> bool| scenario.actions.iter().rposition(is_it);
        let released = position(|action| matches!(action, Action::Release { .. }));
        let traffic_set = position(|action| matches!(action, Action::SetTraffic(_)));
        if let (Some(released), Some(traffic_set)) = (released, traffic_set) {
            prop_assert!(traffic_set < released, "traffic moves before anything is unloaded");
        }
    }

    #[test]
    fn stored_progress_is_read_back(inputs in prop::collection::vec(input(), 1..60)) {
        let mut scenario = Scenario::new(", steps: [5, 20, 50], soak: 5m");
        for input in &inputs {
            apply(&mut scenario, input);
        }
        let stored = serde_json::to_string(scenario.rollout.progress()).unwrap();
        let read: Progress = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(read.phase, scenario.phase());
        prop_assert_eq!(read.generation, scenario.rollout.progress().generation);
        let config = scenario.rollout.config().clone();
        prop_assert!(Rollout::resume(config, read, scenario.now).is_ok());
    }
}
