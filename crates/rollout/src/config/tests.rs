//! Files that are read, and files that are refused with the path of the wrong key.

use proptest::prelude::*;

use super::*;

const COMPLETE: &str = r#"
rollout:
  id: churn-v8
  model: churn
  stable: 7
  candidate: 8
  strategy: canary
  unit: {from: header, name: x-user-id, fallback: random}
  hash: growthbook-v2
  salt: experiment
  override: {header: x-lockgate-arm}
  layer: {name: checkout, range: [0, 0.5]}
  warmup: {requests: 40, source: synthetic, timeout: 90s}
  shadow: {percent: 50, max_extra_load: 0.3, min_pairs: 400, atol: 1e-4, rtol: 1e-2}
  steps: [1, 5, 10, 25, 50]
  step: {min_time: 30s, min_requests: 100, max_time: 1h30m, on_unknown: rollback}
  soak: 20m
  alpha: 0.01
  beta: 0.1
  metrics:
    - {name: errors,   event: error,          worse_than: 1.5, not_worse_than: {ratio: 2.0, abs: 0.005}, weight: 4}
    - {name: slow_p99, event: latency_over,   at: stable_p99, span: queue, not_worse_than: {abs: 0.01}, weight: 2}
    - {name: disagree, event: shadow_differs, max_rate: 0.02}
    - {name: outputs,  event: output_bin,     tolerance_js: 0.2, action: hold}
    - {name: reward,   event: feedback,       direction: decrease, action: report}
  guards:
    nan_output: 2
    memory_ratio: 1.5
    prometheus: [{name: clicks, url: "http://prometheus:9090", query: "clicks", min: 0.1, failure_limit: 2, interval: 15s}]
  gates:
    - {before: step_25, type: webhook, url: "https://ci.example/gate", timeout: 5s}
    - {before: step_50, type: prometheus, url: "http://prometheus:9090", query: "sum(refunds{version='{{candidate}}'})", max: 3, for: 5m, on_no_data: fail}
    - {before: promote, type: manual}
  notify: [{slack: "https://hooks.slack.com/services/T/B/X", on: [held, rolled_back]}, {alertmanager: "http://alerts:9093"}]
  on_rollback: {keep_candidate_warm: 10m, notify: ["https://ci.example/back", {alertmanager: "http://alerts:9093"}, {webhook: "http://hook"}]}
"#;

const SHORTEST: &str = "rollout: {id: a, model: m, stable: 1, candidate: 2}";

/// The shortest file with one key more.
fn with(key: &str) -> String {
    format!("rollout: {{id: a, model: m, stable: 1, candidate: 2, {key}}}")
}

#[test]
fn every_key_is_read() {
    insta::assert_debug_snapshot!(RolloutConfig::parse(COMPLETE).unwrap());
}

#[test]
fn four_keys_are_enough() {
    insta::assert_debug_snapshot!(RolloutConfig::parse(SHORTEST).unwrap());
}

#[test]
fn json_is_read_like_yaml() {
    let json = r#"{"rollout": {"id": "a", "model": "m", "stable": 1, "candidate": "2"}}"#;
    assert_eq!(RolloutConfig::parse(json), RolloutConfig::parse(SHORTEST));
}

#[test]
fn a_growing_weight_only_moves_units_to_the_candidate() {
    let config = RolloutConfig::parse(&with("unit: {from: header, name: user}")).unwrap();
    assert_eq!(config.assignment.salt.as_deref(), Some("m/a"));
    let assigners = [0.01, 0.05, 0.5, 1.0].map(|weight| {
        let split = config.split(weight, 0);
        assert_eq!(
            (split.arms[0].version.as_str(), split.arms[0].weight),
            ("2", weight)
        );
        stats::assignment::Assigner::new(&split, "").unwrap()
    });
    for number in 0..2000 {
        let unit = format!("user_{number}");
        let arms: Vec<_> = assigners
            .iter()
            .map(|assigner| assigner.arm_of(&unit))
            .collect();
        assert!(
            arms.is_sorted_by(|before, after| before >= after),
            "{unit}: {arms:?}"
        );
        assert_eq!(arms.last(), Some(&Some(0)));
    }
}

#[test]
fn blue_green_has_no_steps() {
    let config = RolloutConfig::parse(&with("strategy: blue_green")).unwrap();
    assert_eq!(config.steps, [0.0; 0]);
    assert_eq!(config.weight_of_step(0), 1.0);
}

#[test]
fn a_query_keeps_the_default_counts_of_the_other_guards() {
    let query = "{url: 'http://p', query: up, min: 1}";
    let guards = |keys: &str| {
        let text = with(&format!("guards: {{{keys}prometheus: [{query}]}}"));
        RolloutConfig::parse(&text).unwrap()
    };
    let by_default = RolloutConfig::parse(SHORTEST).unwrap().guards;
    assert_eq!(guards("").guards, by_default);
    assert_eq!(guards("").guard_queries[0].failure_limit, Some(3));
    assert_eq!(guards("nan_output: 2, ").guards.load_failure, None);
}

#[test]
fn a_shadow_compares_answers_and_an_ab_test_waits_for_its_operator() {
    let shadow = RolloutConfig::parse(&with("strategy: shadow")).unwrap();
    assert!(shadow.shadow.is_some() && shadow.steps.is_empty());
    let names: Vec<_> = shadow.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["errors", "disagree"]);
    let ab = RolloutConfig::parse(&with("strategy: ab")).unwrap();
    assert_eq!((ab.steps.as_slice(), ab.gates.len()), ([0.5].as_slice(), 1));
    assert_eq!(ab.gates[0].before, GatePosition::Promote);
    assert_eq!(ab.step.max_time, Duration::from_secs(90 * 24 * 3600));
}

/// Keys beside those of the shortest file, each with a mistake.
const MISTAKES: &[&str] = &[
    "unknown: 1",
    "strategy: bandit",
    "strategy: shadow, steps: [5]",
    "strategy: ab, steps: [5, 10]",
    "id: b",
    "steps: []",
    "steps: [5, 5]",
    "steps: [1, 100]",
    "steps: [1, many]",
    "strategy: blue_green, steps: [1]",
    "step: {min_tme: 60s}",
    "step: {min_time: 60}",
    "step: {min_time: 1h}",
    "soak: soon",
    "soak: 9999h",
    "alpha: 0",
    "alpha: .nan",
    "beta: 0.9",
    "unit: {from: header}",
    "unit: {from: body}",
    "hash: sha1",
    "unit: {from: header, name: u}, layer: {name: l, range: [0.5, 0.2]}",
    "layer: {name: l, range: [0, 0.5]}",
    "hash: growthbook-v2",
    "hash: md5, steps: [0.005, 50]",
    "unit: {from: header, name: a b}",
    "shadow: {percent: 200}",
    "metrics: []",
    "metrics: [{name: e, event: errors}]",
    "metrics: [{name: e}]",
    "metrics: [{event: error, not_worse_than: {abs: 0.01}}]",
    "metrics: [{name: e, event: error}]",
    "metrics: [{name: e, event: error, not_worse_than: {abs: 0}}]",
    "metrics: [{name: e, event: error, not_worse_than: {ratio: 1}}]",
    "metrics: [{name: e, event: error, action: report}]",
    "metrics: [{name: e, event: error, at: stable_p99, not_worse_than: {abs: 0.01}}]",
    "metrics: [{name: e, event: error, not_worse_than: {abs: 0.01}}, {name: e, event: error, action: hold}]",
    "metrics: [{name: s, event: latency_over, not_worse_than: {abs: 0.01}}]",
    "metrics: [{name: s, event: latency_over, at: p99, not_worse_than: {abs: 0.01}}]",
    "metrics: [{name: s, event: shadow_differs, max_rate: 0.1}]",
    "metrics: [{name: s, event: output_bin, action: block}]",
    "metrics: [{name: s, event: feedback, action: hold}]",
    "guards: {nan_output: 0}",
    "guards: {memory_ratio: 0.5}",
    "guards: {nan_outputs: 1}",
    "guards: {prometheus: [{url: 'http://p', query: up}]}",
    "guards: {prometheus: [{url: 'http://p', max: 1}]}",
    "guards: {prometheus: [{query: up, max: 1}]}",
    "guards: {prometheus: [{url: 'http://p', query: up, max: 1, before: promote}]}",
    "guards: {prometheus: [{url: 'http://p', query: up, min: 2, max: 1}]}",
    "guards: {prometheus: [{url: 'http://p', query: up, max: .nan}]}",
    "guards: {prometheus: [{url: 'http://p', query: up, max: 1, failure_limit: 0}]}",
    "guards: {prometheus: [{url: 'http://p', query: up, max: 1, interval: 10ms}]}",
    "guards: {prometheus: [{url: 'http://p', query: 'up{v=\"{{version}}\"}', max: 1}]}",
    "gates: [{before: step_30, type: manual}]",
    "gates: [{before: promote, type: webhook}]",
    "gates: [{before: promote, type: manual, url: x}]",
    "gates: [{before: promote, type: webhook, url: x, query: up}]",
    "gates: [{before: promote, type: prometheus, url: x, max: 1}]",
    "gates: [{before: promote, type: prometheus, url: x, query: up, max: 1, for: long}]",
    "on_rollback: {notify: [{slak: x}]}",
    "on_rollback: {notify: [{slack: x, on: [held]}]}",
    "notify: [{slack: x, on: [helt]}]",
    "notify: [{slack: x, on: []}]",
    "notify: [{alertmanager: x, on: [completed]}]",
    "notify: [{slack: x, webhook: y}]",
    "on_rollback: {notify: [{}]}",
    "on_rollback: {notify: [{alertmanager: x, webhook: y}]}",
    "on_rollback: {notify: [[x]]}",
    "on_rollback: {notify: [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]}",
];

/// Whole files with a mistake.
const MISTAKEN_FILES: &[&str] = &[
    "",
    "rollout:",
    "rollout: {stable: 1, candidate: 2}",
    "rollout: {id: a/b, model: m, stable: 1, candidate: 2}",
    "rollout: {id: a, model: ../m, stable: 1, candidate: 2}",
    "rollout: {id: a, model: m, stable: 1, candidate: 1}",
    "rollout: {id: a, model: m, stable: one, candidate: 2}",
    "rollouts: {}",
];

#[test]
fn mistakes_are_refused_with_the_path_of_the_key() {
    let mut said = String::new();
    for key in MISTAKES {
        let outcome = match RolloutConfig::parse(&with(key)) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        said.push_str(&format!("{key}\n    {outcome}\n"));
    }
    for text in MISTAKEN_FILES {
        let error = RolloutConfig::parse(text).unwrap_err();
        said.push_str(&format!("{text}\n    {error}\n"));
    }
    insta::assert_snapshot!(said);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _unread = RolloutConfig::parse(&text).is_ok();
    }

    #[test]
    fn any_damaged_file_is_read_or_refused(at in 0_usize..2000, insert in "[ -~]{0,3}") {
        let mut text = COMPLETE.to_owned();
        text.insert_str(at.min(text.len()), &insert);
        if let Err(error) = RolloutConfig::parse(&text) {
            prop_assert!(!error.message.is_empty());
        }
    }
}

#[test]
fn the_id_follows_from_model_and_candidate_when_it_is_left_out() {
    let parse = |model: &str| {
        let text = format!("rollout: {{model: {model}, stable: 1, candidate: 2}}");
        RolloutConfig::parse(&text)
    };
    let config = parse("digits").unwrap();
    assert_eq!(config.id, "digits-2");
    let salts = [1, 2, 3].map(|run| config.clone().for_run(run).assignment.salt.unwrap());
    assert_eq!(
        salts,
        ["digits/digits-2", "digits/digits-2/2", "digits/digits-2/3"]
    );
    let refused = parse("ziffern:7").unwrap_err();
    assert_eq!(refused.key, "rollout.id");
}

#[test]
fn a_salt_of_the_file_is_the_same_in_every_run() {
    let text = "rollout: {model: m, stable: 1, candidate: 2, salt: mine}";
    let config = RolloutConfig::parse(text).unwrap().for_run(2);
    assert_eq!(config.assignment.salt.as_deref(), Some("mine"));
}
