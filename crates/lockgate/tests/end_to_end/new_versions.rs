//! The guide of rollouts from its first line: version 2 waits until its rollout has ended.

use std::fs;
use std::path::Path;

use crate::http::{get, post_json};
use crate::process::{Lockgate, copy_folder, examples, lockgate};

/// The rollout file of the guide, without steps, so that it ends at once.
const ROLLOUT: &str = "rollout:
  id: digits-2
  model: digits
  stable: 1
  candidate: 2
  strategy: blue_green
  warmup: {source: none}
  step: {min_time: 0s, max_time: 1s, on_unknown: promote}
  soak: 1s
";

/// The version that answers a request that names none.
fn default_version(server: &Lockgate) -> String {
    version_of(server, "/models/digits/predict")
}

fn version_of(server: &Lockgate, path: &str) -> String {
    let body = fs::read(examples().join("data/digits-request.json")).unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    let reply = post_json(&server.address, path, &body);
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.header("x-lockgate-version").unwrap().to_owned()
}

fn until(is_done: impl Fn() -> bool) {
    while !is_done() {
        std::thread::yield_now();
    }
}

/// Returns what a sub-command prints, which finds the server by the environment.
fn command(server: &Lockgate, arguments: &[&str]) -> String {
    let mut command = lockgate(server.folder());
    let command = command.args(arguments).env("LOCKGATE_URL", &server.address);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

fn serve(repository: &Path, state: &Path) -> Lockgate {
    let state = state.to_str().unwrap();
    Lockgate::serve(repository, &["--model-control", "--state-dir", state])
}

fn is_ready(server: &Lockgate, version: usize) -> bool {
    let model = get(&server.address, "/models/digits").json();
    model["versions"][version - 1]["state"] == "ready"
}

#[test]
fn a_version_that_waits_answers_after_its_rollout_and_not_before() {
    let (repository, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digits = repository.path().join("digits");
    copy_folder(&examples().join("models/digits/1"), &digits.join("1"));
    fs::write(digits.join("model.yaml"), "new_versions: wait\n").unwrap();
    let server = serve(repository.path(), state.path());
    assert_eq!(default_version(&server), "1");

    copy_folder(&examples().join("models/digits/2"), &digits.join("2"));
    until(|| is_ready(&server, 2));
    assert_eq!(default_version(&server), "1");
    assert_eq!(
        version_of(&server, "/models/digits/versions/2/predict"),
        "2"
    );
    let list = command(&server, &["models", "list"]);
    assert!(list.contains("it waits"), "{list}");
    drop(server);

    let server = serve(repository.path(), state.path());
    until(|| is_ready(&server, 2));
    assert_eq!(default_version(&server), "1", "after a restart");
    let file = server.folder().join("rollout.yaml");
    fs::write(&file, ROLLOUT).unwrap();
    let started = ["rollout", "start", "-f", file.to_str().unwrap()];
    let started = command(&server, &started);
    assert!(!started.contains("warning"), "{started}");
    command(&server, &["rollout", "wait", "digits-2", "--timeout", "2m"]);
    assert_eq!(default_version(&server), "2");
}

#[test]
fn a_rollout_of_a_version_that_answers_already_starts_with_a_warning() {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(&examples().join("models"), repository.path());
    let server = Lockgate::serve(repository.path(), &["--model-control"]);
    let file = server.folder().join("rollout.yaml");
    fs::write(&file, ROLLOUT).unwrap();
    let started = ["rollout", "start", "-f", file.to_str().unwrap()];
    let started = command(&server, &started);
    assert!(
        started.contains("warning: candidate `2` of model `digits` answered all requests"),
        "{started}"
    );
}
