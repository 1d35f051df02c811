//! Rollouts on live traffic: the real server and runtime, a good candidate and three broken ones.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::http::{Connection, get, post_json};
use crate::process::{Lockgate, copy_folder, examples, lockgate};

/// Enough callers that both arms and shadow requests are always busy.
const N_CALLERS: usize = 4;

/// Limits that an equal candidate passes within seconds at some hundred requests a second.
const METRICS: &str = "
  metrics:
    - {name: errors, event: error, not_worse_than: {ratio: 3.0, abs: 0.03}}
    - {name: slow, event: latency_over, at: stable_p99, worse_than: 2.0, not_worse_than: {ratio: 5.0, abs: 0.05}}
    - {name: disagree, event: shadow_differs, max_rate: 0.2}
";

/// A repository in which `stable` and a candidate are versions of digits.
fn repository(stable: u32, candidate: &Path) -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    let digits = repository.path().join("digits");
    let original = examples().join(format!("models/digits/{stable}"));
    copy_folder(&original, &digits.join(stable.to_string()));
    fs::create_dir_all(digits.join("3")).unwrap();
    fs::copy(candidate, digits.join("3/model.onnx")).unwrap();
    repository
}

fn broken(name: &str) -> std::path::PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/candidates");
    fixtures.join(format!("{name}.onnx"))
}

/// Callers that ask for digits and name no version, until this is dropped.
struct Load {
    is_done: Arc<AtomicBool>,
    n_failed: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Lockgate) -> Self {
        let (is_done, n_failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let rows = rows();
        let callers = (0..N_CALLERS).map(|caller| {
            let (is_done, n_failed) = (Arc::clone(&is_done), Arc::clone(&n_failed));
            let (address, rows) = (server.address.clone(), rows.clone());
            thread::spawn(move || {
                let mut connection = Connection::open(&address).unwrap();
                for row in rows.iter().cycle().skip(caller * 80) {
                    if is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    let reply = connection.post_json("/models/digits/predict", row).unwrap();
                    n_failed.fetch_add(u64::from(reply.status != 200), Ordering::Relaxed);
                }
            })
        });
        Self {
            callers: callers.collect(),
            is_done,
            n_failed,
        }
    }

    /// Stops the callers; returns the number of requests without an answer.
    fn end(mut self) -> u64 {
        self.is_done.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            caller.join().unwrap();
        }
        self.n_failed.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
    }
}

/// The held-out digits, as bodies.
fn rows() -> Vec<Value> {
    let text = fs::read_to_string(examples().join("data/digits-test.csv")).unwrap();
    let row = |line: &str| {
        let numbers = line.split(',').take(64);
        let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
        json!({ "data": [numbers] })
    };
    text.lines().skip(1).map(row).collect()
}

fn rollout(server: &Lockgate, arguments: &[&str]) -> Output {
    let url = format!("http://{}", server.address);
    let mut command = lockgate(server.folder());
    let command = command.arg("rollout").args(arguments).args(["--url", &url]);
    command.output().unwrap()
}

/// Returns the output of a sub-command, which must end with this exit code.
fn expect_exit(server: &Lockgate, arguments: &[&str], code: i32) -> String {
    let output = rollout(server, arguments);
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {output_text}{complaint}"
    );
    output_text
}

/// Starts a rollout of digits by its file.
fn start(server: &Lockgate, keys: &str) {
    let file = server.folder().join("rollout.yaml");
    let text = format!("rollout:\n  id: trial\n  model: digits\n  candidate: 3\n{keys}{METRICS}");
    fs::write(&file, text).unwrap();
    expect_exit(server, &["start", "-f", &file.display().to_string()], 0);
}

fn evidence(server: &Lockgate) -> Value {
    get(&server.address, "/api/rollouts/trial/evidence").json()
}

/// Pins a version.
fn pin(server: &Lockgate, version: &str) {
    let url = format!("http://{}", server.address);
    let mut command = lockgate(server.folder());
    let command = command.args(["models", "pin", "digits", version, "--url", &url]);
    assert!(command.output().unwrap().status.success());
}

/// Checks what Argo Rollouts and Flagger get after the end of a rollout that must not be promoted.
fn refuses_to_promote(server: &Lockgate) {
    let verdict = get(&server.address, "/api/rollouts/trial/verdict").json();
    assert_eq!(verdict["value"], -1, "{verdict}");
    let body = json!({"metadata": {"rollout": "trial"}});
    for (hook, status) in [("confirm", 403), ("rollback", 200)] {
        let path = format!("/api/hooks/flagger/{hook}");
        let reply = post_json(&server.address, &path, &body);
        assert_eq!(reply.status, status, "{hook}: {}", reply.json());
    }
}

/// The version that answers when the caller names none.
fn serving_version(server: &Lockgate) -> String {
    let reply = post_json(&server.address, "/models/digits/predict", &rows()[0]);
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.header("x-lockgate-version").unwrap().to_owned()
}

const SHADOWED: &str = "  stable: 2
  warmup: {requests: 20, timeout: 20s}
  shadow: {percent: 100, min_pairs: 200, max_extra_load: 5}
  steps: [20, 50]
  step: {min_time: 1s, min_requests: 100, max_time: 30m}
  soak: 3s
";

#[test]
fn a_good_candidate_is_promoted_through_its_steps_under_load() {
    let candidate = examples().join("models/digits/2/model.onnx");
    let repository = repository(1, &candidate);
    let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
    pin(&server, "1");
    let load = Load::start(&server);
    start(&server, &SHADOWED.replace("stable: 2", "stable: 1"));
    let wait = ["wait", "trial", "--for", "completed", "--timeout", "5m"];
    expect_exit(&server, &wait, 0);
    assert_eq!(load.end(), 0, "no caller saw an error");
    assert_eq!(serving_version(&server), "3");
    let transitions = get(&server.address, "/api/rollouts/trial/transitions?limit=20").json();
    let mut states: Vec<_> = transitions
        .as_array()
        .unwrap()
        .iter()
        .map(|made| &made["to"])
        .collect();
    states.reverse();
    let expected = [
        "warmup",
        "shadow",
        "step",
        "step",
        "promoting",
        "soak",
        "completed",
    ];
    assert_eq!(states, expected, "{transitions}");
    let shadow = &evidence(&server)["shadow"];
    assert!(shadow["agree"].as_u64().unwrap() >= 150, "{shadow}");
    let metrics = get(&server.address, "/metrics");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = r#"lockgate_rollout_state{model="digits",rollout="trial",state="completed"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn broken_candidates_are_rolled_back_before_a_caller_gets_their_answers() {
    for name in ["mislabelling", "slow", "failing"] {
        let repository = repository(2, &broken(name));
        let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
        pin(&server, "2");
        // Without inputs of callers, the failing candidate passes its warm-up.
        let keys = SHADOWED.replace("requests: 20", "source: synthetic, requests: 5");
        let load = Load::start(&server);
        start(&server, &keys);
        let wait = ["wait", "trial", "--for", "completed", "--timeout", "5m"];
        expect_exit(&server, &wait, 3);
        assert_eq!(load.end(), 0, "{name}: no caller saw an error");
        assert_eq!(serving_version(&server), "2", "{name}");
        let evidence = evidence(&server);
        let on_trial = evidence["metrics"][0]["arms"]["candidate"]["n"]
            .as_u64()
            .unwrap();
        // Shadow requests reveal wrong answers and failures, and callers reveal slowness.
        assert_eq!(on_trial > 0, name == "slow", "{name}: {evidence}");
    }
}

#[test]
fn a_candidate_that_fails_in_a_step_is_rolled_back_at_once_without_failed_requests() {
    let repository = repository(2, &broken("failing"));
    let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
    pin(&server, "2");
    let load = Load::start(&server);
    let keys = "  stable: 2
  warmup: {source: synthetic}
  steps: [10, 50]
";
    let metrics = METRICS
        .lines()
        .filter(|line| !line.contains("shadow_differs"));
    let metrics: Vec<_> = metrics.collect();
    let file = server.folder().join("rollout.yaml");
    let head = "rollout:\n  id: trial\n  model: digits\n  candidate: 3\n";
    fs::write(&file, format!("{head}{keys}{}", metrics.join("\n"))).unwrap();
    expect_exit(&server, &["start", "-f", &file.display().to_string()], 0);
    let wait = ["wait", "trial", "--for", "completed", "--timeout", "5m"];
    expect_exit(&server, &wait, 3);
    let n_failed = load.end();
    let evidence = evidence(&server);
    let arms = &evidence["metrics"][0]["arms"];
    let failed_on_trial = arms["candidate"]["events"].as_u64().unwrap();
    assert_eq!(arms["stable"]["events"], 0, "{evidence}");
    // Requests that were in flight at the rollback may come too late for the evidence.
    let in_flight = failed_on_trial..=failed_on_trial + N_CALLERS as u64;
    assert!(in_flight.contains(&n_failed), "{n_failed} {evidence}");
    assert_eq!(serving_version(&server), "2");
    refuses_to_promote(&server);
}

#[test]
fn a_rollout_resumes_its_step_after_a_kill() {
    let candidate = examples().join("models/digits/2/model.onnx");
    let (repository, state) = (repository(1, &candidate), tempfile::tempdir().unwrap());
    let state = state.path().display().to_string();
    let flags = ["--model-control", "true", "--state-dir", &state];
    let mut server = Lockgate::serve(repository.path(), &flags);
    let keys = "  stable: 1
  warmup: {source: synthetic}
  shadow: {percent: 100, min_pairs: 50, max_extra_load: 5}
  steps: [30]
  step: {min_time: 1h, max_time: 2h}
";
    let load = Load::start(&server);
    start(&server, keys);
    expect_exit(
        &server,
        &["wait", "trial", "--for", "step", "--timeout", "5m"],
        0,
    );
    let n = |evidence: &Value| {
        evidence["metrics"][0]["arms"]["stable"]["n"]
            .as_u64()
            .unwrap()
    };
    while n(&evidence(&server)) < 200 {
        thread::yield_now();
    }
    assert_eq!(load.end(), 0);
    let status = |server: &Lockgate| get(&server.address, "/api/rollouts/trial").json();
    let (before, known) = (status(&server), n(&evidence(&server)));
    server.kill();
    let server = Lockgate::serve(repository.path(), &flags);
    let after = status(&server);
    for key in ["state", "step", "weight", "generation", "epoch", "since"] {
        assert_eq!(after[key], before[key], "{key}: {after}");
    }
    let evidence_after = evidence(&server);
    assert!(n(&evidence_after) >= known, "{known} {evidence_after}");
    let load = Load::start(&server);
    while n(&evidence(&server)) < known + 200 {
        thread::yield_now();
    }
    assert_eq!(load.end(), 0);
    expect_exit(&server, &["abort", "trial", "--reason", "enough"], 0);
    expect_exit(
        &server,
        &["wait", "trial", "--for", "completed", "--timeout", "1m"],
        5,
    );
    assert_eq!(serving_version(&server), "1");
    refuses_to_promote(&server);
}

/// Plays a rollout under load in whose step something happens to a version of digits, and returns
/// the status in the given state.
fn status_after(change: impl FnOnce(&Path), state: &str) -> Value {
    let candidate = examples().join("models/digits/2/model.onnx");
    let repository = repository(1, &candidate);
    let flags = ["--model-control", "true", "--poll-interval-ms", "100"];
    let server = Lockgate::serve(repository.path(), &flags);
    pin(&server, "1");
    let load = Load::start(&server);
    let keys = SHADOWED.replace("stable: 2", "stable: 1");
    start(&server, &keys.replace("min_time: 1s", "min_time: 10m"));
    let wait = |state| {
        let wait = ["wait", "trial", "--for", state, "--timeout", "5m"];
        expect_exit(&server, &wait, 0);
    };
    wait("step");
    change(&repository.path().join("digits"));
    wait(state);
    let status = get(&server.address, "/api/rollouts/trial").json();
    let mut connection = Connection::open(&server.address).unwrap();
    for row in rows() {
        let reply = connection.post_json("/models/digits/predict", &row);
        assert_eq!(reply.unwrap().status, 200, "after the change");
    }
    assert_eq!(load.end(), 0, "no caller saw an error");
    status
}

#[test]
fn a_deleted_stable_holds_the_rollout_without_a_failed_request() {
    let delete = |digits: &Path| fs::remove_dir_all(digits.join("1")).unwrap();
    let status = status_after(delete, "held");
    assert_eq!(status["reason"], "stable_missing");
}

#[test]
fn a_deleted_candidate_is_rolled_back_without_a_failed_request() {
    let delete = |digits: &Path| fs::remove_dir_all(digits.join("3")).unwrap();
    let status = status_after(delete, "rolled_back");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("files of the candidate"), "{status}");
}

#[test]
fn a_candidate_that_is_replaced_by_a_broken_file_is_rolled_back_without_a_failed_request() {
    let replace = |digits: &Path| {
        let broken = digits.join("3/.broken");
        fs::write(&broken, b"this is no model").unwrap();
        fs::rename(broken, digits.join("3/model.onnx")).unwrap();
    };
    let status = status_after(replace, "rolled_back");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("model.onnx"), "{status}");
}
