use api::rollout::{RolloutReport, SoakReport};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn read<T: DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).unwrap()
}

fn step() -> Value {
    json!({
        "id": "churn-v8", "model": "churn", "state": "step", "step": 2, "n_steps": 5, "weight": 0.1,
        "generation": 41, "epoch": 1, "since": "2999-01-02T03:04:05Z", "reason": null,
        "verdict": "unknown",
        "arms": [
            {"name": "stable", "version": "7", "weight": 0.9},
            {"name": "candidate", "version": "8", "weight": 0.1},
        ],
        "missing": ["errors: needs about 66 more requests to the candidate"],
    })
}

fn numbers() -> Value {
    json!({
        "metrics": [
            {
                "name": "errors", "action": "block", "verdict": "unknown",
                "ln_worse_start": -2.349, "ln_worse_start_limit": 7.6009,
                "ln_worse_step": null, "ln_worse_step_limit": 9.2103,
                "ln_not_worse": 3.4624, "ln_not_worse_limit": 3.6889, "further_requests": 66,
                "abs": {"upper": 0.01114, "lower": 0.00266, "limit": 0.005, "ok": false},
                "arms": {
                    "stable": {"n": 9000, "events": 45, "value": 0.005, "ci": [0.00266, 0.00821]},
                    "candidate": {"n": 1000, "events": 2, "value": 0.002, "ci": [0.0, 0.01114]},
                },
            },
            {
                "name": "reward", "action": "report", "verdict": "unknown",
                "ln_worse_start": 0.0, "ln_worse_start_limit": 7.6009,
                "ln_worse_step": 0.0, "ln_worse_step_limit": 9.2103,
                "arms": {"stable": {"n": 3, "value": 1.25}, "candidate": {"n": 0, "value": null}},
            },
        ],
        "srm": {"ln_e": -2.3159, "limit": 6.9078},
        "shadow": {
            "pairs": 500, "agree": 498, "differ": 2, "stable_failed_alone": 0,
            "candidate_failed_alone": 0, "stable_slower": 0, "candidate_slower": 0,
            "dropped": {"budget": 3, "deadline": 1},
        },
        "guards": [{"name": "nan_output", "count": 0.0, "limit": 1.0}],
    })
}

#[test]
fn a_status_has_weights_as_bars_and_what_is_missing() {
    let expected = "\
churn-v8 of churn: step 3 of 5 (10 %)
verdict unknown, generation 41
stable         7  █████████████████████▌·· 90 %
candidate      8  ██▌····················· 10 %
missing: errors: needs about 66 more requests to the candidate";
    assert_eq!(status(&read(step())), expected);
}

#[test]
fn every_number_stands_beside_its_limit() {
    let shown = evidence(&read(numbers()));
    let expected = [
        "0.5 % of 9000",
        "0.27 % to 0.82 %",
        "0 % to 1.11 %",
        "about 66 more",
        "(report only)",
        "1.2500 of 3",
        "none yet",
        "for \"worse\" in one metric: 0 % so far",
        "the weights: 0 % of",
        "shadow requests: 500 compared, 2 differ, 4 dropped",
        "guards: nan_output 0 of 1",
    ];
    let missing: Vec<_> = expected
        .iter()
        .filter(|part| !shown.contains(*part))
        .collect();
    assert!(missing.is_empty(), "{missing:?} in\n{shown}");
    assert!(!shown.contains("soak"), "{shown}");
    let widest = shown.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?}\n{shown}");
}

#[test]
fn evidence_is_a_share_of_the_limit_at_which_it_decides() {
    let mut report: RolloutReport = read(numbers());
    report.evidence.metrics[0].ln_worse_step = 4.6;
    report.soak = Some(SoakReport {
        ln_d: Some(20.0),
        limit: 7.6,
    });
    let shown = evidence(&report);
    for part in [
        "for \"worse\" in one metric: 50 % so far",
        "soak: 100 % of the evidence",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
}

#[test]
fn states_have_their_step_and_their_reason() {
    let mut status: Status = read(step());
    assert_eq!(state(&status), "step 3 of 5 (10 %)");
    (status.state, status.reason) = (RolloutState::Held, Some("operator".to_owned()));
    assert_eq!(state(&status), "held in step 3 of 5 (10 %): operator");
    (status.state, status.step) = (RolloutState::RolledBack, None);
    assert_eq!(state(&status), "rolled_back: operator");
}

#[test]
fn a_transition_is_a_line() {
    let transition_json = json!({
        "at": "2026-01-02T03:04:05.678Z", "from": "step", "to": "rolled_back",
        "reason": "worse since the start", "actor": "lockgate", "generation": 5,
        "evidence": numbers(),
    });
    let expected = "2026-01-02T03:04:05Z  step -> rolled_back: worse since the start (lockgate)";
    let mut made: Transition = read(transition_json);
    assert_eq!(transition(&made), expected);
    assert!(transitions(std::slice::from_ref(&made)).contains("worse since the start"));
    (made.step, made.n_steps) = (Some(1), 3);
    for (to, expected) in [
        (RolloutState::Step, "-> step 2 of 3:"),
        (RolloutState::Held, "-> held in step 2 of 3:"),
    ] {
        made.to = to;
        assert!(transition(&made).contains(expected));
    }
}

#[test]
fn lists_are_shown_and_keys_of_a_newer_server_are_ignored() {
    let mut status = step();
    status["mood"] = json!(7);
    let shown = list(&[read(status)]);
    assert!(
        shown.contains("churn-v8") && shown.contains("10 %"),
        "{shown}"
    );
}

#[test]
fn bars_and_ages_are_short() {
    assert_eq!(bar(0.0), "·".repeat(BAR_WIDTH));
    assert_eq!(bar(1.0), "█".repeat(BAR_WIDTH));
    let ago = |seconds: i64| {
        let timestamp = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        age(&timestamp.to_string()).unwrap()
    };
    assert_eq!(ago(3725), "1 h 02 min");
    assert!(ago(62).starts_with("1 min 0"), "{}", ago(62));
    assert!(ago(5).ends_with(" s"), "{}", ago(5));
    assert_eq!(age("soon"), None);
}

#[test]
fn a_status_names_the_gate_that_is_asked_and_its_last_answer() {
    let rows = [
        (None, "gate: webhook before step_20, no answer yet"),
        (
            Some("status 404"),
            "gate: webhook before step_20, last answer: status 404",
        ),
    ];
    for (last_answer, expected) in rows {
        let mut document = step();
        let gate = json!({"name": "webhook before step_20", "last_answer": last_answer});
        document["gate"] = gate;
        let text = status(&read(document));
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn a_status_has_the_last_answer_of_each_guard_query() {
    let mut document = step();
    document["guard_queries"] = json!([
        {"name": "clicks", "failures": 1, "failure_limit": 3, "last_answer": "no data",
         "asked_at": "2999-01-02T03:04:05Z"},
        {"name": "refunds", "failures": 0, "failure_limit": 3, "last_answer": null,
         "asked_at": null},
    ]);
    let shown = status(&read(document));
    let expected =
        "\nguard: prometheus `clicks`: no data\nguard: prometheus `refunds`: no answer yet";
    assert!(shown.ends_with(expected), "{shown}");
}
