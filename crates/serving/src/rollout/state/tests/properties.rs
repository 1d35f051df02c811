//! What holds for every order of events.

use proptest::prelude::*;

use super::*;

/// One thing that may happen to a course.
#[derive(Clone, Debug)]
enum Happening {
    Counts {
        n: u64,
        candidate_errors: u64,
        stable_errors: u64,
        seconds: u64,
    },
    Guard,
    Burning,
    StableGone,
    Changed,
    Ready,
    WarmedUp,
    Answer(GateAnswer),
    Act(ActKind),
}

fn happening() -> impl Strategy<Value = Happening> {
    let counts = (0_u64..20_000, 0_u64..100, 0_u64..100, 1_u64..700).prop_map(
        |(n, candidate_errors, stable_errors, seconds)| Happening::Counts {
            n,
            candidate_errors,
            stable_errors,
            seconds,
        },
    );
    let answers = [GateAnswer::Go, GateAnswer::Wait, GateAnswer::RollBack];
    let acts = [
        ActKind::Hold,
        ActKind::Resume,
        ActKind::Rollback,
        ActKind::Abort,
    ];
    prop_oneof![
        40 => counts,
        4 => Just(Happening::Ready),
        4 => Just(Happening::WarmedUp),
        2 => Just(Happening::Burning),
        2 => Just(Happening::StableGone),
        1 => Just(Happening::Guard),
        1 => Just(Happening::Changed),
        3 => prop::sample::select(answers.to_vec()).prop_map(Happening::Answer),
        2 => prop::sample::select(acts.to_vec()).prop_map(Happening::Act),
    ]
}

fn apply(course: &mut Course, happening: &Happening) {
    match happening {
        Happening::Counts {
            n,
            candidate_errors,
            stable_errors,
            seconds,
        } => {
            let weight = course.rollout.traffic().weight;
            let n_candidate = if weight > 0.0 { n / 5 } else { 0 };
            let counts = |n: u64, events: u64| Counts {
                n,
                events: events.min(n),
            };
            let arms = ArmCounts {
                stable: counts(n - n_candidate, *stable_errors),
                candidate: counts(n_candidate, *candidate_errors),
            };
            course.tick = Duration::from_secs(*seconds);
            course.step(SILENT, |tick| {
                tick.metrics = vec![MetricBlock::of_arms(arms)];
                tick.n_candidate_requests = n_candidate;
                tick.n_pairs = *n;
            });
        }
        Happening::Guard => course.step(SILENT, |tick| tick.guards.nan_output = 1),
        Happening::Burning => course.step(SILENT, |tick| tick.is_stable_burning = true),
        Happening::StableGone => course.step(SILENT, |tick| tick.is_stable_ready = false),
        Happening::Changed => course.tell(Event::CandidateChanged),
        Happening::Ready => course.tell(Event::CandidateReady),
        Happening::WarmedUp => course.tell(Event::WarmedUp),
        Happening::Answer(answer) => {
            course.tell(Event::GateAnswered {
                gate: 0,
                answer: *answer,
            });
        }
        Happening::Act(kind) => {
            let before = course.rollout.clone();
            if course.act(*kind).is_err() {
                assert_eq!(course.rollout, before, "a refused act changes nothing");
            }
        }
    }
}

/// Weight 0 to the first step needs no verdict; above that every rise does.
fn check_rise(course: &Course, from: f64) {
    let weight = course.rollout.traffic().weight;
    if weight <= from || from == 0.0 {
        return;
    }
    let moves = course.moves();
    let moved = moves.last().expect("a rise is recorded");
    assert_eq!(moved.generation, course.rollout.traffic().generation);
    assert_eq!(moved.reason, Reason::NotWorse, "{from} to {weight}");
    assert!(moved.evidence.is_not_worse(course.rollout.config()));
}

proptest! {
    #[test]
    fn no_course_breaks_the_rules(
        happenings in prop::collection::vec(happening(), 1..120),
        has_shadow in any::<bool>(),
    ) {
        let gate = "gates: [{before: step_50, type: webhook, url: \"http://ci\"}]";
        let shadow = if has_shadow { SHADOW } else { "" };
        let mut course = Course::new(&format!(", steps: [5, 20, 50], soak: 5m, {gate}{shadow}"));
        let mut generation = 0;
        for happening in &happenings {
            let before = course.rollout.clone();
            let from = before.traffic().weight;
            apply(&mut course, happening);
            check_rise(&course, from);
            if before.progress().phase.is_final() {
                prop_assert_eq!(&course.rollout, &before, "final states absorb");
            }
            let traffic = course.rollout.traffic();
            prop_assert!(traffic.generation >= generation);
            generation = traffic.generation;
            // What the driver was last told is what the state says.
            let mut told = None;
            for action in &course.actions {
                if let Action::SetTraffic(traffic) = action {
                    told = Some((traffic.weight, traffic.shadow));
                }
            }
            prop_assert_eq!(told.unwrap_or((0.0, 0.0)), (traffic.weight, traffic.shadow));
        }
        let place = |is_it: fn(&Action) -> bool| course.actions.iter().rposition(is_it);
        let released = place(|action| matches!(action, Action::Release { .. }));
        let told = place(|action| matches!(action, Action::SetTraffic(_)));
        if let (Some(released), Some(told)) = (released, told) {
            prop_assert!(told < released, "traffic moves before anything is unloaded");
        }
    }

    #[test]
    fn stored_progress_is_read_back(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut course = Course::new(", steps: [5, 20, 50], soak: 5m");
        for happening in &happenings {
            apply(&mut course, happening);
        }
        let stored = serde_json::to_string(course.rollout.progress()).unwrap();
        let read: Progress = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(read.phase, course.phase());
        prop_assert_eq!(read.generation, course.rollout.progress().generation);
        let config = course.rollout.config().clone();
        prop_assert!(Rollout::resume(config, read, course.now).is_ok());
    }
}
