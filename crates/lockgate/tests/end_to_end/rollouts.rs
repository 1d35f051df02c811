//! Rollout simulations and sub-commands, as a user runs them.

mod script;

use std::process::Output;

use serde_json::Value;

use self::script::ScriptedServer;
use crate::process::{examples, lockgate};

fn simulate(flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    lockgate(folder.path())
        .args(["rollout", "simulate", "--file"])
        .arg(examples().join("rollouts/digits.yaml"))
        .args(["--rps", "200", "--runs", "40"])
        .args(flags)
        .output()
        .unwrap()
}

fn json(flags: &[&str]) -> Value {
    let output = simulate(&[flags, &["--json"]].concat());
    let output_text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output_text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_healthy_candidate_of_the_example_is_promoted() {
    let results = json(&[]);
    assert_eq!(results["id"], "digits-2");
    assert_eq!(results["n_runs"], 40);
    assert!(results["p_promote"].as_f64().unwrap() > 0.9, "{results}");
    assert_eq!(results["p_rollback"], 0.0, "{results}");
    // The first step gets 5 % of 200 requests each second, so 600 in a minute.
    let judge = &results["fixed_limit"][0];
    assert!((judge["requests_per_check"].as_f64().unwrap() - 600.0).abs() < 1e-6);
    assert_eq!(judge["rollback_probability"][1]["failed_checks"], 5);
}

#[test]
fn a_broken_candidate_of_the_example_is_rolled_back() {
    let results = json(&["--candidate-rate", "0.05"]);
    assert_eq!(results["p_rollback"], 1.0, "{results}");
    let failed = results["failed_requests"]["p90"].as_f64().unwrap();
    assert!(failed < 100.0, "{results}");
    assert_eq!(results["rates"][0]["candidate"], 0.05);
    assert_eq!(results["rates"][0]["stable"], 0.005);
}

#[test]
fn answers_that_differ_too_often_never_reach_users() {
    let results = json(&["--candidate-rate", "disagree=0.3"]);
    assert_eq!(results["p_rollback"], 1.0, "{results}");
    assert_eq!(results["candidate_requests"]["max"], 0.0, "{results}");
}

#[test]
fn the_same_seed_gives_the_same_results_on_any_number_of_threads() {
    assert_eq!(json(&["--seed", "3"]), json(&["--seed", "3"]));
    assert_ne!(json(&["--seed", "3"]), json(&["--seed", "4"]));
}

#[test]
fn tables_name_the_outcomes_and_the_baseline() {
    let output = simulate(&["--stable-rate", "slow=0.02"]);
    let output_text = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "promoted",
        "rolled back",
        "held",
        "failed requests",
        "requests/check",
        "2 %",
    ] {
        assert!(
            output_text.contains(expected),
            "{expected} is not in\n{output_text}"
        );
    }
}

#[test]
fn mistakes_name_the_flag_or_the_path_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollout.yaml");
    let text = "rollout: {id: a, model: m, stable: 1, candidate: 2, steps: [5, 5]}";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let rows: [(&[&str], &str); 6] = [
        (&["--file", file], "`rollout.steps[1]`"),
        (&["--file", "none.yaml"], "cannot read `none.yaml`"),
        (&["--candidate-rate", "latency=0.1"], "no metric `latency`"),
        (
            &["--candidate-rate", "errors=7"],
            "expected a rate from 0 to 1",
        ),
        (&["--runs", "0"], "`--runs`"),
        (&["--rps=-3"], "`--rps`"),
    ];
    let mut failing = Vec::new();
    for (flags, expected) in rows {
        let digits = examples().join("rollouts/digits.yaml");
        let mut arguments = flags.to_vec();
        if !arguments.contains(&"--file") {
            arguments.extend(["--file", digits.to_str().unwrap()]);
        }
        let mut command = lockgate(folder.path());
        let output = command
            .args(["rollout", "simulate"])
            .args(arguments)
            .output()
            .unwrap();
        let output_text = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !output_text.contains(expected) {
            failing.push(format!("{flags:?}: {output_text}"));
        }
    }
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Runs a sub-command against a server that follows a script.
fn against(script: &ScriptedServer, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = lockgate(folder.path());
    let output = command
        .arg("rollout")
        .args(arguments)
        .args(["--url", &script.url])
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), output_text + &complained)
}

#[test]
fn a_script_learns_by_the_exit_code_how_it_ended() {
    let rows: [(&[&str], &[&str], i32); 6] = [
        (&["step", "soak", "completed"], &[], 0),
        (&["step", "soak", "completed"], &["--for", "soak"], 0),
        (&["step", "rolled_back"], &[], 3),
        (&["held", "held"], &["--timeout", "0s"], 4),
        (&["step", "aborted"], &[], 5),
        (&["pending", "failed"], &[], 5),
    ];
    let mut failing = Vec::new();
    for (states, flags, expected) in rows {
        let script = ScriptedServer::start(states, "/api/rollouts/digits-2");
        let arguments = [&["wait", "digits-2"], flags].concat();
        let (code, output_text) = against(&script, &arguments);
        if code != Some(expected) || !output_text.contains("digits-2 of digits: ") {
            failing.push(format!("{states:?} {flags:?}: {code:?}\n{output_text}"));
        }
    }
    let script = ScriptedServer::start(&["step"], "");
    let (code, output_text) = against(&script, &["wait", "none"]);
    assert!(
        code == Some(1) && output_text.contains("no rollout"),
        "{output_text}"
    );
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

#[test]
fn each_transition_is_printed_once_however_often_the_connection_breaks() {
    let states = ["warmup", "step", "step", "rolled_back"];
    let script = ScriptedServer::start(&states, "/api/rollouts/digits-2/events");
    let (code, output_text) = against(&script, &["watch", "digits-2"]);
    let expected = "\
2026-01-02T03:04:01Z  warmup -> step: because (lockgate)
2026-01-02T03:04:02Z  step -> step: because (lockgate)
2026-01-02T03:04:03Z  step -> rolled_back: because (lockgate)
";
    assert_eq!((code, output_text.as_str()), (Some(0), expected));
}

#[test]
fn events_as_json_are_one_line_each() {
    let states = ["step", "soak", "completed"];
    let script = ScriptedServer::start(&states, "/api/rollouts/digits-2/events");
    let (code, output_text) = against(&script, &["watch", "digits-2", "--json"]);
    let lines: Vec<Value> = output_text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = lines
        .iter()
        .map(|line| (line["event"].as_str().unwrap(), &line["data"]["to"]))
        .collect();
    let expected = [
        ("transition", &Value::from("soak")),
        ("evidence", &Value::Null),
        ("transition", &Value::from("completed")),
    ];
    assert_eq!((code, events.as_slice()), (Some(0), &expected[..]));
}
