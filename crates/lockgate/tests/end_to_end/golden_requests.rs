//! Golden requests: a version that answers one wrong is not served, and the value is named.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::http::{get, post_json};
use crate::process::{Lockgate, copy_folder, examples};

/// Returns a picture of a digit that both versions know.
fn picture() -> Value {
    let file = examples().join("data/digits-request.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Returns the version of digits that answers.
fn answering(server: &Lockgate) -> Value {
    let reply = post_json(&server.address, "/models/digits/predict", &picture());
    assert_eq!(reply.status, 200);
    reply.json()["model_version"].clone()
}

/// Waits until a version of digits is as expected; returns it.
fn wait_for(server: &Lockgate, version: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
    loop {
        let model = get(&server.address, "/models/digits").json();
        let versions = model["versions"].as_array().unwrap().clone();
        let found = versions
            .into_iter()
            .find(|found| found["version"] == version);
        if let Some(found) = found.filter(&is_expected) {
            return found;
        }
    }
}

fn write_golden(version_folder: &Path, golden: &Value) {
    fs::create_dir_all(version_folder.join("tests")).unwrap();
    fs::write(version_folder.join("tests/seven.json"), golden.to_string()).unwrap();
}

#[test]
fn a_version_that_answers_a_golden_request_wrong_is_not_served() {
    let repository = tempfile::tempdir().unwrap();
    let folder = |version: &str| repository.path().join("digits").join(version);
    copy_folder(&examples().join("models/digits/1"), &folder("1"));
    let server = Lockgate::serve(repository.path(), &["--poll-interval-ms", "100"]);
    let reply = post_json(&server.address, "/models/digits/predict", &picture()).json();
    let of_version_1 = json!({"request": picture(), "expected": reply});

    // Version 2 is another model, so the answer of version 1 is wrong for it.
    let staged = tempfile::tempdir_in(repository.path().parent().unwrap()).unwrap();
    copy_folder(
        &examples().join("models/digits/2"),
        &staged.path().join("2"),
    );
    write_golden(&staged.path().join("2"), &of_version_1);
    fs::rename(staged.path().join("2"), folder("2")).unwrap();
    let refused = wait_for(&server, "2", |found| found["state"] == "unavailable");
    let reason = refused["reason"].as_str().unwrap();
    let expected = "golden request `tests/seven.json`: output `probabilities` at `[0, ";
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(answering(&server), "1");

    // The right answer of version 2 makes it ready.
    let rows = json!({"outputs": {"label": reply["predictions"]["label"]}});
    write_golden(
        &folder("2"),
        &json!({"request": picture(), "expected": rows}),
    );
    let label = |found: &Value| found["state"] != "loading" && found["state"] != "unavailable";
    wait_for(&server, "2", label);
    assert_eq!(answering(&server), "2");

    // A golden request that fails later leaves the loaded version where it is.
    write_golden(
        &folder("2"),
        &json!({"request": picture(), "expected": {"output": []}}),
    );
    wait_for(&server, "2", |found| {
        let reason = found["reason"].as_str().unwrap_or_default();
        found["state"] == "ready" && reason.contains("`expected`: unknown key `output`")
    });
    assert_eq!(answering(&server), "2");
}
