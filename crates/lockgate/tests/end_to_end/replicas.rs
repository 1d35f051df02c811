//! Three real servers share a rollout through a real Redis.

use std::fs;
use std::thread;

use serde_json::{Value, json};
use storage::testing::RedisServer;

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

/// Models, states and a Redis for several servers.
struct Fleet {
    models: tempfile::TempDir,
    states: tempfile::TempDir,
    redis: RedisServer,
}

impl Fleet {
    fn new() -> Self {
        let models = tempfile::tempdir().unwrap();
        copy_folder(
            &examples().join("models/digits"),
            &models.path().join("digits"),
        );
        Self {
            models,
            states: tempfile::tempdir().unwrap(),
            redis: RedisServer::start(&["--requirepass", "secret"]),
        }
    }

    /// Starts the server with this name, over its state of before.
    fn serve(&self, name: &str) -> Lockgate {
        let state_dir = self.states.path().join(name).display().to_string();
        let redis = self.redis.url().replace("//", "//:secret@");
        let flags = [
            "--model-control",
            "true",
            "--state-dir",
            &state_dir,
            "--redis",
            &redis,
        ];
        Lockgate::serve(self.models.path(), &flags)
    }

    fn start_rollout(&self, server: &Lockgate) {
        let file = self.states.path().join("rollout.yaml");
        fs::write(&file, FILE).unwrap();
        let started = lockgate(self.states.path())
            .args(["rollout", "start", "-f", &file.display().to_string()])
            .args(["--url", &format!("http://{}", server.address)])
            .output()
            .unwrap();
        assert!(started.status.success(), "{started:?}");
    }
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

fn metrics(server: &Lockgate) -> String {
    String::from_utf8(get(&server.address, "/metrics").body).unwrap()
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
fn servers_share_a_rollout_and_survive_the_loss_of_one_and_of_redis() {
    let mut fleet = Fleet::new();
    let mut first = fleet.serve("first");
    let [second, mut third] = ["second", "third"].map(|name| fleet.serve(name));
    fleet.start_rollout(&first);
    for server in [&first, &second, &third] {
        until(|| rollout(server, "")["state"] == "step");
        until(|| send(server, 20).iter().all(|n| *n > 0));
    }
    let [_, candidate] = send(&second, 200);
    assert!((50..150).contains(&candidate), "{candidate}");
    until(|| n_known(&third) >= 200);

    // The server that decides is killed: another one continues with the same evidence.
    first.kill();
    let known = n_known(&third);
    send(&second, 100);
    until(|| n_known(&third) >= known + 100);
    assert_eq!(rollout(&third, "")["state"], "step");

    // Redis is lost: weights stay, and no count is lost or doubled.
    let mut before = n_known(&third);
    until(|| n_known(&second) == before && n_known(&third) == before);
    fleet.redis.kill();
    let unreachable = |server: &Lockgate| rollout(server, "")["shared_state"].is_string();
    until(|| unreachable(&second) && unreachable(&third));
    assert!(metrics(&second).contains("lockgate_shared_state_up 0"));
    let refused = post_json(&second.address, "/api/rollouts/shared/abort", &json!({}));
    assert_eq!(refused.status, 503, "{:?}", refused.json());
    assert!(
        !refused.json().to_string().contains("secret"),
        "{:?}",
        refused.json()
    );
    for server in [&second, &third] {
        let [stable, candidate] = send(server, 100);
        assert!((20..80).contains(&candidate), "{stable} {candidate}");
        before += 100;
    }

    // A server that starts while Redis is away serves as before.
    third.kill();
    before -= 100;
    let third = fleet.serve("third");
    let [stable, candidate] = send(&third, 100);
    assert!((20..80).contains(&candidate), "{stable} {candidate}");
    before += 100;
    fleet.redis.restart();
    until(|| n_known(&second) == before && n_known(&third) == before);
    assert_eq!(rollout(&second, "")["shared_state"], Value::Null);
    assert!(metrics(&second).contains("lockgate_shared_state_up 1"));

    // Any server takes an action, and all of them have its effect.
    let aborted = post_json(&third.address, "/api/rollouts/shared/abort", &json!({}));
    assert_eq!(aborted.status, 200, "{:?}", aborted.json());
    let first = fleet.serve("first");
    for server in [&first, &second, &third] {
        until(|| rollout(server, "")["state"] == "aborted");
        let model = get(&server.address, "/api/models/digits/traffic").json();
        assert_eq!(model["pinned"], "1", "{model}");
        // The state may be known a moment before the traffic follows it.
        until(|| send(server, 20) == [20, 0]);
    }
}

#[test]
fn the_password_of_redis_is_printed_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let printed = lockgate(folder.path())
        .arg("config")
        .env("LOCKGATE_REDIS", "redis://me:secret@redis.example:6379/2")
        .output()
        .unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(
        text.contains("redis://me:***@redis.example:6379/2"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    let refused = lockgate(folder.path())
        .arg("config")
        .env("LOCKGATE_REDIS", "redes://me:secret@redis.example")
        .output()
        .unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains("`redis`") && !text.contains("secret"),
        "{text}"
    );
}
