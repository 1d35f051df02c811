//! Two real servers share a rollout: one decides, with the counts of both.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::http::{get, post_json};
use crate::process::{Lockgate, copy_folder, examples, lockgate};

const FILE: &str = "
rollout:
  id: shared
  model: digits
  stable: 1
  candidate: 2
  warmup: {source: synthetic}
  steps: [50]
  step: {min_time: 1h, max_time: 2h}
";

fn repository() -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(
        &examples().join("models/digits"),
        &repository.path().join("digits"),
    );
    repository
}

/// Polls until an answer is accepted.
fn until(is_right: impl Fn() -> bool) {
    while !is_right() {
        thread::yield_now();
    }
}

fn rollout(server: &Lockgate, rest: &str) -> Value {
    get(&server.address, &format!("/api/rollouts/shared{rest}")).json()
}

/// Requests of both arms that the server knows of.
fn n_known(server: &Lockgate) -> u64 {
    let evidence = rollout(server, "/evidence");
    let arms = &evidence["metrics"][0]["arms"];
    let n = |arm: &str| arms[arm]["n"].as_u64().unwrap_or_default();
    n("stable") + n("candidate")
}

/// Sends requests that name no version; returns how many each version answered.
fn send(server: &Lockgate, n: usize) -> [u64; 2] {
    let row = json!({ "data": [vec![0.0; 64]] });
    let mut counts = [0; 2];
    for _ in 0..n {
        let reply = post_json(&server.address, "/models/digits/predict", &row);
        assert_eq!(reply.status, 200, "{:?}", reply.json());
        let index = usize::from(reply.header("x-lockgate-version") == Some("2"));
        counts[index] += 1;
    }
    counts
}

#[test]
fn a_follower_applies_the_decisions_of_its_leader_and_reports_counts() {
    let models = repository();
    let state = tempfile::tempdir().unwrap();
    let folder = |name: &str| state.path().join(name).display().to_string();
    let state_dir = folder("leader");
    let leading = ["--model-control", "true", "--state-dir", &state_dir];
    let leader = Lockgate::serve(models.path(), &leading);
    let url = format!("http://{}", leader.address);
    let state_dir = folder("follower");
    let following = [
        "--model-control",
        "true",
        "--rollout-leader",
        &url,
        "--state-dir",
        &state_dir,
    ];
    let mut follower = Lockgate::serve(models.path(), &following);

    let file = state.path().join("rollout.yaml");
    fs::write(&file, FILE).unwrap();
    let started = lockgate(state.path())
        .args(["rollout", "start", "-f", &file.display().to_string()])
        .args(["--url", &url])
        .output()
        .unwrap();
    assert!(started.status.success(), "{started:?}");
    until(|| rollout(&follower, "")["state"] == "step");
    until(|| send(&follower, 20).iter().all(|n| *n > 0));
    let [_, candidate] = send(&follower, 200);
    assert!((50..150).contains(&candidate), "{candidate}");
    until(|| n_known(&leader) >= 200);

    let refused = post_json(&follower.address, "/api/rollouts/shared/abort", &json!({}));
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains(&url), "{message}");

    // The leader counts the next process as another replica, and keeps the earlier counts.
    follower.kill();
    let follower = Lockgate::serve(models.path(), &following);
    let known = n_known(&leader);
    send(&follower, 50);
    until(|| n_known(&leader) >= known + 50);

    let aborted = post_json(&leader.address, "/api/rollouts/shared/abort", &json!({}));
    assert_eq!(aborted.status, 200, "{:?}", aborted.json());
    until(|| rollout(&follower, "")["state"] == "aborted");
    let model = get(&follower.address, "/api/models/digits/traffic").json();
    assert_eq!(model["pinned"], "1", "{model}");
    assert_eq!(send(&follower, 20), [20, 0]);
}
