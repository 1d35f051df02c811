//! Splits, labels and pins on a real server, which survive its end by force.

use std::path::Path;

use serde_json::{Value, json};

use crate::http::{Connection, Reply, get, post_json};
use crate::process::{Lockgate, copy_folder, examples, lockgate};
use crate::python_clients::run_against;

/// The example models.
fn repository() -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(&examples().join("models"), repository.path());
    repository
}

fn serve(repository: &Path) -> Lockgate {
    Lockgate::serve(repository, &["--model-control", "true"])
}

fn call(server: &Lockgate, method: &str, path: &str, body: &Value) -> Reply {
    let body = match body.is_null() {
        true => String::new(),
        false => body.to_string(),
    };
    let mut connection = Connection::open(&server.address).unwrap();
    let path = format!("/api/models/digits{path}");
    connection
        .call(method, &path, &[], body.as_bytes())
        .unwrap()
}

/// The call, which must succeed.
fn change(server: &Lockgate, method: &str, path: &str, body: &Value) -> Value {
    let reply = call(server, method, path, body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.json());
    reply.json()
}

fn md5_split(first: f64, second: f64) -> Value {
    json!({
        "split": [
            {"version": "1", "weight": first, "name": "arm-1"},
            {"version": "2", "weight": second, "name": "arm-2"},
        ],
        "unit": "user_id",
        "hash": "md5",
        "override": {"header": "x-lockgate-arm"},
    })
}

/// Returns the version that answers a request with only these attributes.
fn serving_version(server: &Lockgate, path: &str) -> String {
    let row = json!({"data": [vec![0; 64]]});
    let reply = post_json(&server.address, path, &row);
    assert_eq!(reply.status, 200, "{}", reply.json());
    let version = reply.header("x-lockgate-version").unwrap().to_owned();
    assert_eq!(reply.json()["model_version"], version.as_str());
    version
}

#[test]
fn users_get_the_versions_that_their_own_code_computes() {
    let repository = repository();
    let server = serve(repository.path());
    let set = change(&server, "PUT", "/traffic", &md5_split(0.7, 0.3));
    assert_eq!(set["traffic"]["hash"], "md5", "{set}");
    run_against(&server, "test_traffic");
    let now = change(&server, "GET", "/traffic", &Value::Null);
    let results = now["results"].as_array().unwrap();
    let counts: Vec<_> = results
        .iter()
        .map(|arm| arm["requests"].as_u64().unwrap())
        .collect();
    // 304 users and an integer in the one protocol, 50 users in the other; what was forced or named
    // is not counted.
    assert_eq!(counts.iter().sum::<u64>(), 355, "{now}");
    assert_eq!(now["requests_without_unit"], 0, "{now}");
    assert!(results.iter().all(|arm| arm["errors"] == 0), "{now}");
    assert!(
        results.iter().all(|arm| arm["latency_ms"]["p99"].is_f64()),
        "{now}"
    );
}

/// Sends feedback; returns the status and the reply.
fn send_feedback(server: &Lockgate, feedback: &Value) -> (u16, Value) {
    let reply = post_json(&server.address, "/v1/feedback", feedback);
    (reply.status, reply.json())
}

/// Sends one request for each of as many users; returns the ids of the requests with the arms that
/// answered.
fn predict(server: &Lockgate, n_users: u32) -> Vec<(String, String)> {
    let mut connection = Connection::open(&server.address).unwrap();
    let mut predict = |user: u32| {
        let id = format!("request-{user}");
        let body = json!({"user_id": format!("user_{user}"), "data": [vec![0; 64]]}).to_string();
        let headers = [("x-request-id", &*id)];
        let path = "/models/digits/predict";
        let reply = connection.call("POST", path, &headers, body.as_bytes());
        let reply = reply.unwrap();
        assert_eq!(reply.header("x-request-id"), Some(&*id));
        let arm = reply.header("x-lockgate-arm").unwrap().to_owned();
        (id, arm)
    };
    (0..n_users).map(&mut predict).collect()
}

#[test]
fn replies_of_a_bandit_carry_its_propensity_even_after_a_kill() {
    let (repository, state) = (repository(), tempfile::tempdir().unwrap());
    let state = state.path().display().to_string();
    let flags = ["--model-control", "true", "--state-dir", &state];
    let mut server = Lockgate::serve(repository.path(), &flags);
    let reported = |server: &Lockgate| {
        let body = json!({"user_id": "user_42", "data": [vec![0; 64]]});
        let reply = post_json(&server.address, "/models/digits/predict", &body);
        reply.header("x-lockgate-propensity").map(str::to_owned)
    };
    let mut split = md5_split(0.25, 0.75);
    change(&server, "PUT", "/traffic", &split);
    assert_eq!(reported(&server), None);
    split["bandit"] = json!({"min_units": 50});
    let set = change(&server, "PUT", "/traffic", &split);
    let kept = json!({"period": "5m", "min_units": 50, "floor": 0.01});
    assert_eq!(set["traffic"]["bandit"], kept, "{set}");
    assert_eq!(set["results"][1]["weight"], 0.75, "{set}");
    assert_eq!(reported(&server).as_deref(), Some("0.75"));
    server.kill();
    let server = Lockgate::serve(repository.path(), &flags);
    assert_eq!(reported(&server).as_deref(), Some("0.75"));
    split["bandit"] = json!({"period": "1m"});
    let refused = call(&server, "PUT", "/traffic", &split);
    assert_eq!(refused.status, 400, "{}", refused.json());
}

#[test]
fn feedback_shows_which_arm_is_better() {
    let repository = repository();
    let server = serve(repository.path());
    change(&server, "PUT", "/traffic", &md5_split(0.5, 0.5));
    let answers = predict(&server, 200);
    // The second arm is always right, the first one every other time.
    let rewards = answers.iter().enumerate().map(|(n, (id, arm))| {
        let is_right = arm == "arm-2" || n % 2 == 0;
        json!({"request_id": id, "reward": u8::from(is_right)})
    });
    let (status, reply) = send_feedback(&server, &rewards.collect());
    assert_eq!(
        (status, &reply["results"][199]["status"]),
        (202, &json!(202))
    );
    // `user_42` belongs to the second arm, by a rule that its own code knows.
    let by_unit = json!({"unit": "user_42", "reward": 1, "model": "digits"});
    assert_eq!(send_feedback(&server, &by_unit).0, 202);
    let unknown = json!({"request_id": "nobody", "reward": 1});
    assert_eq!(send_feedback(&server, &unknown).0, 404);
    let (status, reply) = send_feedback(&server, &json!([by_unit, unknown]));
    let error = &reply["results"][1]["error"]["code"];
    assert_eq!((status, error), (202, &json!("request_not_found")));

    let now = change(&server, "GET", "/traffic", &Value::Null);
    let n_second = answers.iter().filter(|(_, arm)| arm == "arm-2").count();
    let second = &now["results"][1];
    assert_eq!(second["units"], n_second, "{now}");
    assert_eq!(
        second["reward"],
        json!({"n": n_second + 2, "mean": 1.0}),
        "{now}"
    );
    let counts = second["outputs"]["counts"].as_array().unwrap();
    let n_counted: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        (n_counted, &second["outputs"]["kind"]),
        (n_second as u64, &json!("classes"))
    );
    let reward = &now["comparison"][0]["reward"];
    assert_eq!(reward["significant"], true, "{now}");
    assert!(reward["interval"][0].as_f64().unwrap() > 0.0, "{now}");
    assert_eq!(
        now["comparison"][0]["error_rate"]["significant"], false,
        "{now}"
    );
    assert_eq!(now["sample_ratio"]["is_mismatch"], false, "{now}");
    let shown = printed(&server, &["traffic", "show", "digits"]);
    assert!(
        shown.contains("mean reward") && shown.contains("yes"),
        "{shown}"
    );
}

#[test]
fn a_label_is_compared_with_the_class_that_was_answered() {
    let repository = repository();
    let server = serve(repository.path());
    change(&server, "PUT", "/traffic", &md5_split(1.0, 0.0));
    predict(&server, 1);
    let now = change(&server, "GET", "/traffic", &Value::Null);
    let counts = now["results"][0]["outputs"]["counts"].as_array().unwrap();
    let class = counts.iter().position(|count| *count == 1).unwrap();
    let labels = [json!(class), json!(class.to_string()), json!(class + 1)];
    for label in labels {
        let reported = json!({"request_id": "request-0", "label": label});
        assert_eq!(send_feedback(&server, &reported).0, 202, "{label}");
    }
    let now = change(&server, "GET", "/traffic", &Value::Null);
    let reward = &now["results"][0]["reward"];
    assert_eq!(reward["n"], 3, "{now}");
    assert!(
        (reward["mean"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9,
        "{now}"
    );
}

#[test]
fn a_restart_that_overlaps_with_the_earlier_process_keeps_the_state() {
    let (repository, state) = (repository(), tempfile::tempdir().unwrap());
    let state = state.path().display().to_string();
    let control = ["--model-control", "true", "--state-dir", &state];
    let slow_end = [&control[..], &["--shutdown-delay-ms", "500"]].concat();
    let mut earlier = Lockgate::serve(repository.path(), &slow_end);
    change(&earlier, "PUT", "/default", &json!({"version": "1"}));
    let history = change(&earlier, "GET", "/history", &Value::Null);
    earlier.terminate();
    let server = Lockgate::serve(repository.path(), &control);
    assert_eq!(change(&server, "GET", "/history", &Value::Null), history);
    let health = get(&server.address, "/health").json();
    assert_eq!(health["warnings"], Value::Null, "{health}");
    assert!(earlier.wait());
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let (repository, state) = (repository(), tempfile::tempdir().unwrap());
    let state = state.path().display().to_string();
    let flags = ["--model-control", "true", "--state-dir", &state];
    let mut server = Lockgate::serve(repository.path(), &flags);
    change(&server, "PUT", "/labels/old", &json!({"version": "1"}));
    change(&server, "PUT", "/default", &json!({"version": "old"}));
    change(&server, "PUT", "/traffic", &md5_split(0.7, 0.3));
    let before = change(&server, "GET", "/traffic", &Value::Null);
    let history = change(&server, "GET", "/history", &Value::Null);
    run_against(&server, "test_traffic");
    server.kill();
    let server = Lockgate::serve(repository.path(), &flags);
    assert_eq!(change(&server, "GET", "/traffic", &Value::Null), before);
    assert_eq!(change(&server, "GET", "/history", &Value::Null), history);
    run_against(&server, "test_traffic");
    assert_eq!(
        serving_version(&server, "/models/digits/versions/old/predict"),
        "1"
    );
    change(&server, "DELETE", "/traffic", &Value::Null);
    assert_eq!(
        serving_version(&server, "/models/digits/predict"),
        "1",
        "still pinned"
    );
}

#[test]
fn weights_that_do_not_sum_to_one_change_nothing() {
    let repository = repository();
    let server = serve(repository.path());
    change(&server, "PUT", "/traffic", &md5_split(1.0, 0.0));
    let reply = call(&server, "PUT", "/traffic", &md5_split(0.5, 0.4));
    let message = reply.json()["error"]["message"].to_string();
    assert_eq!(reply.status, 400, "{message}");
    assert!(
        message.contains("`split`: the weights sum to 0.9"),
        "{message}"
    );
    let now = change(&server, "GET", "/traffic", &Value::Null);
    assert_eq!(now["traffic"]["split"][0]["weight"], 1.0, "{now}");
}

#[test]
fn labels_pins_and_rollback_choose_the_version() {
    let repository = repository();
    let server = serve(repository.path());
    let version = |version: &str| json!({ "version": version });
    assert_eq!(serving_version(&server, "/models/digits/predict"), "2");
    change(&server, "PUT", "/labels/stable", &version("1"));
    assert_eq!(
        serving_version(&server, "/models/digits/versions/stable/predict"),
        "1"
    );
    change(&server, "PUT", "/default", &version("stable"));
    assert_eq!(serving_version(&server, "/models/digits/predict"), "1");
    let model = get(&server.address, "/models/digits").json();
    assert_eq!(
        (&model["pinned"], &model["labels"]["stable"]),
        (&json!("1"), &json!("1"))
    );
    change(&server, "POST", "/rollback", &Value::Null);
    assert_eq!(serving_version(&server, "/models/digits/predict"), "2");
    change(&server, "POST", "/versions/2/unload", &Value::Null);
    assert_eq!(serving_version(&server, "/models/digits/predict"), "1");
    change(&server, "POST", "/versions/2/load", &Value::Null);
    assert_eq!(serving_version(&server, "/models/digits/predict"), "2");
    let history = change(&server, "GET", "/history", &Value::Null);
    let lines = history["history"].as_array().unwrap();
    let watched = lines.iter().filter(|line| line["actor"] == "watch");
    assert_eq!(
        watched.count(),
        2,
        "the first content of each version: {history}"
    );
    let newest = &lines[1];
    assert_eq!(
        (&newest["actor"], &newest["what"]),
        (&json!("api"), &json!("load version 2"))
    );
    assert!(newest["at"].as_str().unwrap().starts_with("20"), "{newest}");
}

/// Returns the output of a sub-command, which must succeed.
fn printed(server: &Lockgate, arguments: &[&str]) -> String {
    let url = format!("http://{}", server.address);
    let mut command = lockgate(server.folder());
    let output = command
        .args(arguments)
        .args(["--url", &url])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn operators_do_all_of_it_from_the_command_line() {
    let repository = repository();
    let server = serve(repository.path());
    let steps: [(&[&str], &str); 13] = [
        (&["models", "list"], "digits-image"),
        (
            &["models", "label", "digits", "stable", "1"],
            "label stable is on version 1",
        ),
        (
            &["models", "pin", "digits", "stable"],
            "version 1 is pinned",
        ),
        (&["models", "list"], "stable"),
        (
            &[
                "traffic", "set", "digits", "a:1=0.5", "b:2=0.5", "--hash", "md5",
            ],
            "split by md5",
        ),
        (&["traffic", "show", "digits"], "unit json user_id"),
        (&["models", "rollback", "digits"], "no split"),
        (&["models", "rollback", "digits"], "split by md5"),
        (&["traffic", "clear", "digits"], "no split"),
        (
            &["models", "unpin", "digits"],
            "version 2 answers by default",
        ),
        (
            &["models", "unload", "digits", "2"],
            "version 1 answers by default",
        ),
        (
            &["models", "load", "digits", "2"],
            "version 2 answers by default",
        ),
        (&["models", "unlabel", "digits", "stable"], "model digits"),
    ];
    for (arguments, expected) in steps {
        let output_text = printed(&server, arguments);
        assert!(
            output_text.contains(expected),
            "{arguments:?}: {output_text}"
        );
    }
    assert!(printed(&server, &["models", "unload", "iris"]).contains("unloaded: iris"));
    assert!(printed(&server, &["models", "load", "iris"]).contains("loaded: iris"));
    let history = printed(
        &server,
        &["models", "history", "digits", "--limit", "3", "--json"],
    );
    let history: Value = serde_json::from_str(&history).unwrap();
    assert_eq!(history["history"].as_array().unwrap().len(), 3);
    assert_eq!(history["history"][0]["actor"], "cli", "{history}");
}

#[test]
fn units_are_assigned_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let assign = |arguments: &[&str]| {
        let mut command = lockgate(folder.path());
        command
            .args(["traffic", "assign", "--json"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = assign(&[
        "--hash",
        "md5",
        "--arms",
        "control=0.5,treatment=0.5",
        "user_1",
        "user_42",
    ]);
    let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!([
        {"unit": "user_1", "bucket": 2753, "arm": "control"},
        {"unit": "user_42", "bucket": 7712, "arm": "treatment"},
    ]);
    assert_eq!(lines, expected);
    let output = assign(&[
        "--hash",
        "md5",
        "--arms",
        "control=0.5,treatment=0.4",
        "user_1",
    ]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("the weights sum to 0.9"), "{complaint}");
    assert!(!output.status.success());
}
