//! Rollouts in the exposition: all series, any readings, and the removal of old rollouts.

use proptest::prelude::*;

use super::*;

/// The lines about rollouts, without types and help.
fn rollout_lines(monitor: &Monitor) -> Vec<String> {
    const PREFIXES: [&str; 4] = [
        "lockgate_rollout_",
        "lockgate_shadow_",
        "lockgate_srm_",
        "lockgate_assign_",
    ];
    let body = monitor.exposition(ExpositionFormat::OpenMetrics);
    let lines = body.lines();
    let lines = lines.filter(|line| PREFIXES.iter().any(|prefix| line.starts_with(prefix)));
    lines.map(str::to_owned).collect()
}

fn transition(monitor: &Monitor, model: &ModelName, rollout: &str, from_to: [&'static str; 2]) {
    let [from, to] = from_to;
    monitor.observe(&Event::RolloutTransitioned {
        rollout,
        model,
        from,
        to,
        reason: "worse",
    });
}

/// The rollouts that have a series, by name.
fn named(monitor: &Monitor) -> BTreeSet<String> {
    let samples = parse(&monitor.exposition(ExpositionFormat::OpenMetrics)).samples;
    let names = samples.into_iter();
    let names = names.filter_map(|(_, mut labels, _)| labels.remove("rollout"));
    names.collect()
}

#[test]
fn a_rollout_has_exactly_these_lines() {
    let monitor = Monitor::new("0");
    run_rollout(&monitor, &model("digits"), "digits-2");
    let expected = [
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="pending"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="warmup"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="baseline"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="shadow"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="step"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="held"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="promoting"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="soak"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="completed"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="rolled_back"} 1.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="aborted"} 0.0"#,
        r#"lockgate_rollout_state{model="digits",rollout="digits-2",state="failed"} 0.0"#,
        r#"lockgate_rollout_weight_ratio{model="digits",rollout="digits-2",arm="stable"} 0.9"#,
        r#"lockgate_rollout_weight_ratio{model="digits",rollout="digits-2",arm="candidate"} 0.1"#,
        r#"lockgate_rollout_log_evidence{model="digits",rollout="digits-2",metric="errors",kind="worse_start"} -2.5"#,
        r#"lockgate_rollout_evidence_limit{model="digits",rollout="digits-2",metric="errors",kind="worse_start"} 7.5"#,
        r#"lockgate_rollout_evidence_limit{model="digits",rollout="digits-2",metric="errors",kind="worse_step"} 9.25"#,
        r#"lockgate_rollout_evidence_limit{model="digits",rollout="digits-2",metric="errors",kind="not_worse"} 3.5"#,
        r#"lockgate_rollout_metric_value{model="digits",rollout="digits-2",metric="errors",arm="stable"} 0.005"#,
        r#"lockgate_rollout_metric_bound{model="digits",rollout="digits-2",metric="errors",arm="stable",side="lower"} 0.0025"#,
        r#"lockgate_rollout_metric_bound{model="digits",rollout="digits-2",metric="errors",arm="stable",side="upper"} 0.0075"#,
        r#"lockgate_rollout_transitions_total{model="digits",rollout="digits-2",from="step",to="rolled_back",reason="worse"} 1"#,
        r#"lockgate_rollout_transitions_total{model="digits",rollout="digits-2",from="warmup",to="step",reason="warmed_up"} 1"#,
        r#"lockgate_shadow_pairs_total{model="digits",rollout="digits-2",agree="true"} 90"#,
        r#"lockgate_shadow_pairs_total{model="digits",rollout="digits-2",agree="false"} 3"#,
        r#"lockgate_shadow_dropped_total{model="digits",rollout="digits-2",reason="budget"} 7"#,
        r#"lockgate_srm_log_evidence{model="digits",rollout="digits-2"} -1.5"#,
        r#"lockgate_assign_fallback_total{model="digits",rollout="digits-2"} 2"#,
        r#"lockgate_rollout_rollbacks_total{model="digits",reason="worse"} 1"#,
        r#"lockgate_rollout_notifications_total{model="digits",outcome="delivered"} 1"#,
    ];
    let found = rollout_lines(&monitor);
    let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
    let expected = BTreeSet::from(expected);
    let odd: Vec<_> = found.symmetric_difference(&expected).collect();
    assert!(odd.is_empty(), "{odd:#?}");
}

#[test]
fn a_server_without_rollouts_has_no_line_about_them() {
    let monitor = Monitor::new("0");
    monitor.observe(&finished(&model("m"), &version("1"), None));
    assert_eq!(rollout_lines(&monitor), [""; 0]);
}

#[test]
fn a_rollout_is_in_one_state_at_a_time() {
    let monitor = Monitor::new("0");
    let model = model("m");
    let states = [
        "pending",
        "warmup",
        "shadow",
        "step",
        "held",
        "promoting",
        "soak",
        "completed",
        "rolled_back",
        "aborted",
        "failed",
    ];
    for state in states {
        transition(&monitor, &model, "r", ["step", state]);
        let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
        let samples = parsed.samples.iter();
        let states = samples.filter(|(name, ..)| name == "lockgate_rollout_state");
        let now: Vec<_> = states
            .filter(|(_, _, value)| *value != 0.0)
            .map(|(_, labels, value)| (labels["state"].as_str(), *value))
            .collect();
        assert_eq!(now, [(state, 1.0)]);
    }
}

#[test]
fn a_move_after_a_reading_keeps_the_numbers_of_the_reading() {
    let monitor = Monitor::new("0");
    let model = model("m");
    monitor.observe(&Event::RolloutMeasured(&reading("r", &model)));
    let numbers = |monitor: &Monitor| -> Vec<_> {
        let lines = rollout_lines(monitor).into_iter();
        let is_number = |line: &String| !line.contains("_state{") && !line.contains("_total{");
        lines.filter(is_number).collect()
    };
    let before = numbers(&monitor);
    assert!(!before.is_empty());
    transition(&monitor, &model, "r", ["step", "completed"]);
    assert_eq!(numbers(&monitor), before);
}

#[test]
fn a_reading_takes_the_place_of_the_one_before() {
    let monitor = Monitor::new("0");
    let model = model("m");
    monitor.observe(&Event::RolloutMeasured(&reading("r", &model)));
    let mut later = reading("r", &model);
    later.weights = [("stable", 0.5), ("candidate", 0.5)];
    later.scores.clear();
    later.dropped = vec![("slow", 1)];
    monitor.observe(&Event::RolloutMeasured(&later));
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let owner = [("model", "m"), ("rollout", "r")];
    let value = |name: &str, label| parsed.value(name, &[&owner[..], &[label]].concat());
    let weight = value("lockgate_rollout_weight_ratio", ("arm", "candidate"));
    assert_eq!(weight, Some(0.5));
    let dropped = "lockgate_shadow_dropped_total";
    assert_eq!(value(dropped, ("reason", "slow")), Some(1.0));
    assert_eq!(value(dropped, ("reason", "budget")), None);
    let mut samples = parsed.samples.iter();
    assert!(!samples.any(|(name, ..)| name == "lockgate_rollout_log_evidence"));
}

#[test]
fn only_going_back_to_stable_counts_as_a_rollback() {
    let monitor = Monitor::new("0");
    let (first, second) = (model("a"), model("b"));
    for end in ["completed", "aborted", "failed", "held"] {
        transition(&monitor, &first, end, ["step", end]);
    }
    for rollout in ["x", "y"] {
        transition(&monitor, &first, rollout, ["step", "rolled_back"]);
    }
    transition(&monitor, &second, "z", ["soak", "rolled_back"]);
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let rollbacks = |model| {
        let labels = [("model", model), ("reason", "worse")];
        parsed.value("lockgate_rollout_rollbacks_total", &labels)
    };
    assert_eq!([rollbacks("a"), rollbacks("b")], [Some(2.0), Some(1.0)]);
}

#[test]
fn the_oldest_rollout_makes_room_when_none_has_ended() {
    let monitor = Monitor::new("0");
    let model = model("m");
    let all: Vec<_> = (0..=100).map(|n| format!("running-{n:03}")).collect();
    for rollout in &all {
        transition(&monitor, &model, rollout, ["pending", "warmup"]);
    }
    let expected: BTreeSet<_> = all.iter().skip(1).cloned().collect();
    assert_eq!(named(&monitor), expected);
}

#[test]
fn a_rollout_that_is_known_takes_no_room_from_others() {
    let monitor = Monitor::new("0");
    let model = model("m");
    for n in 0..100 {
        transition(&monitor, &model, &format!("r{n}"), ["step", "completed"]);
    }
    let before = named(&monitor);
    assert_eq!(before.len(), 100);
    for n in 0..100 {
        monitor.observe(&Event::RolloutMeasured(&reading(&format!("r{n}"), &model)));
    }
    assert_eq!(named(&monitor), before);
}

#[test]
fn those_that_have_ended_make_room_before_older_ones_that_run() {
    for end in ["completed", "rolled_back", "aborted", "failed"] {
        let monitor = Monitor::new("0");
        let model = model("m");
        for n in 0..99 {
            transition(&monitor, &model, &format!("r{n}"), ["warmup", "step"]);
        }
        transition(&monitor, &model, "over", ["step", end]);
        transition(&monitor, &model, "new", ["pending", "warmup"]);
        let named = named(&monitor);
        assert_eq!(named.len(), 100, "{end}");
        assert!(!named.contains("over"), "{end}");
        assert!(named.contains("r0") && named.contains("new"), "{end}");
    }
}

#[test]
fn a_forgotten_rollout_that_moves_again_counts_from_one() {
    let monitor = Monitor::new("0");
    let model = model("m");
    for _ in 0..3 {
        transition(&monitor, &model, "back", ["step", "completed"]);
    }
    for n in 0..100 {
        transition(&monitor, &model, &format!("r{n}"), ["warmup", "step"]);
    }
    assert!(!named(&monitor).contains("back"));
    transition(&monitor, &model, "back", ["step", "completed"]);
    let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
    let labels = [
        ("model", "m"),
        ("rollout", "back"),
        ("from", "step"),
        ("to", "completed"),
        ("reason", "worse"),
    ];
    let count = parsed.value("lockgate_rollout_transitions_total", &labels);
    assert_eq!(count, Some(1.0));
}

proptest! {
    #[test]
    fn every_number_of_a_rollout_is_finite_whatever_is_sent(
        weights in any::<[f64; 2]>(),
        scores in proptest::collection::vec(any::<(f64, f64)>(), 0..4),
        rates in proptest::collection::vec(any::<(Option<f64>, Option<(f64, f64)>)>(), 0..4),
        mismatch in any::<f64>(),
    ) {
        let model = model("m");
        let names = ["a", "b", "c", "d"];
        let mut sent = reading("r", &model);
        sent.weights = [("stable", weights[0]), ("candidate", weights[1])];
        sent.mismatch = mismatch;
        let scores = scores.into_iter().zip(names);
        sent.scores = scores
            .map(|((value, limit), metric)| RolloutScore { metric, kind: "not_worse", value, limit })
            .collect();
        let rates = rates.into_iter().zip(names);
        sent.rates = rates
            .map(|((value, interval), metric)| RolloutRate { metric, arm: "stable", value, interval })
            .collect();
        let monitor = Monitor::new("0");
        monitor.observe(&Event::RolloutMeasured(&sent));
        let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
        let odd: Vec<_> = parsed.samples.iter().filter(|sample| !sample.2.is_finite()).collect();
        prop_assert!(odd.is_empty(), "{:?}", odd);
        // A finite number is never lost.
        let n_expected = weights.iter().filter(|weight| weight.is_finite()).count();
        let is_weight = |sample: &&Sample| sample.0 == "lockgate_rollout_weight_ratio";
        prop_assert_eq!(parsed.samples.iter().filter(is_weight).count(), n_expected);
        let owner = [("model", "m"), ("rollout", "r")];
        let sent = parsed.value("lockgate_srm_log_evidence", &owner);
        prop_assert_eq!(sent, mismatch.is_finite().then_some(mismatch));
    }

    #[test]
    fn any_text_in_a_label_comes_back_as_it_was(
        rollout in any::<String>(),
        metric in any::<String>(),
    ) {
        let model = model("m");
        let mut sent = reading(&rollout, &model);
        for score in &mut sent.scores {
            score.metric = &metric;
        }
        let monitor = Monitor::new("0");
        monitor.observe(&Event::RolloutMeasured(&sent));
        let parsed = parse(&monitor.exposition(ExpositionFormat::OpenMetrics));
        let labels = [
            ("model", "m"),
            ("rollout", rollout.as_str()),
            ("metric", metric.as_str()),
            ("kind", "worse_start"),
        ];
        prop_assert_eq!(parsed.value("lockgate_rollout_log_evidence", &labels), Some(-2.5));
    }
}
