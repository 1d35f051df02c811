//! A rollout file in the model's folder, as a deployment tool writes it, and what operators see.

use std::fs;

use crate::http::get;
use crate::process::{Lockgate, copy_folder, examples, lockgate};

const FILE: &str = "rollout:
  strategy: blue_green
  warmup: {source: none}
  step: {min_time: 0s, max_time: 1s, on_unknown: promote}
  soak: 1s
";

fn models_list(server: &Lockgate) -> String {
    let mut command = lockgate(server.folder());
    let command = command
        .args(["models", "list"])
        .env("LOCKGATE_URL", &server.address);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_version_that_is_copied_beside_the_file_takes_over_by_its_rollout() {
    let repository = tempfile::tempdir().unwrap();
    let digits = repository.path().join("digits");
    copy_folder(&examples().join("models/digits/1"), &digits.join("1"));
    fs::write(digits.join("model.yaml"), "new_versions: wait\n").unwrap();
    fs::write(digits.join("rollout.yaml"), "rollout: {stepz: [5]}\n").unwrap();
    let server = Lockgate::serve(repository.path(), &[]);
    let model = || get(&server.address, "/models/digits").json();
    while model().get("warnings").is_none() {
        std::thread::yield_now();
    }
    let warning = model()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("`rollout.stepz`"), "{warning}");
    let list = models_list(&server);
    assert!(list.contains("`rollout.yaml` is invalid"), "{list}");

    fs::write(digits.join("rollout.yaml"), FILE).unwrap();
    copy_folder(&examples().join("models/digits/2"), &digits.join("2"));
    while get(&server.address, "/api/rollouts/digits-2").json()["state"] != "completed" {
        std::thread::yield_now();
    }
    assert_eq!(model()["latest"], "2");
    assert!(model().get("warnings").is_none());
}
