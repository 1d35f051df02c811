//! Models change while the server works: nothing fails, and memory comes back.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::http::{Connection, get, post_json};
use crate::process::{Lockgate, copy_folder, examples};

/// Memory that the allocator may keep after its first few loads.
const GROWTH_LIMIT_BYTES: u64 = 24 << 20;

fn row() -> Value {
    json!({"data": [vec![0; 64]]})
}

/// A repository with version 1 of digits alone.
fn repository_with_version_1() -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(
        &examples().join("models/digits/1"),
        &repository.path().join("digits/1"),
    );
    repository
}

fn add_version_2(repository: &Path) {
    copy_folder(
        &examples().join("models/digits/2"),
        &repository.join("digits/2"),
    );
}

/// Asks on one connection until `is_done`; counts what was answered and collects what failed.
fn send_until(
    address: &str,
    is_done: &AtomicBool,
    n_answered: &AtomicUsize,
    mut on_version: impl FnMut(&str),
) -> Vec<String> {
    let mut connection = Connection::open(address).unwrap();
    let mut failed = Vec::new();
    while !is_done.load(Ordering::Relaxed) {
        let reply = connection
            .post_json("/models/digits/predict", &row())
            .unwrap();
        match reply.status {
            200 => on_version(reply.json()["model_version"].as_str().unwrap()),
            _ => failed.push(String::from_utf8_lossy(&reply.body).into_owned()),
        }
        n_answered.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

fn wait_for_version(connection: &mut Connection, version: &str) {
    loop {
        let reply = connection
            .post_json("/models/digits/predict", &row())
            .unwrap();
        if reply.json()["model_version"] == version {
            return;
        }
    }
}

#[test]
fn versions_come_and_go_under_load_without_a_failed_request() {
    let repository = repository_with_version_1();
    let server = Lockgate::serve(repository.path(), &["--poll-interval-ms", "100"]);
    let (is_done, n_answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failed: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| send_until(&server.address, &is_done, &n_answered, |_| {})))
            .collect();
        let mut connection = Connection::open(&server.address).unwrap();
        for _ in 0..3 {
            add_version_2(repository.path());
            wait_for_version(&mut connection, "2");
            fs::remove_dir_all(repository.path().join("digits/2")).unwrap();
            wait_for_version(&mut connection, "1");
        }
        is_done.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert!(n_answered.into_inner() > 100);
}

/// Waits until the health of a server is as expected.
fn wait_for_health(server: &Lockgate, is_expected: impl Fn(u16, &str) -> bool) {
    let health = || {
        let reply = get(&server.address, "/health");
        is_expected(reply.status, &reply.json().to_string())
    };
    while !health() {}
}

#[test]
fn a_lost_mount_stops_no_model_and_lets_no_new_server_be_ready() {
    let folder = tempfile::tempdir().unwrap();
    let [repository, away] = ["models", "away"].map(|name| folder.path().join(name));
    copy_folder(
        &examples().join("models/digits/1"),
        &repository.join("digits/1"),
    );
    let server = Lockgate::serve(&repository, &["--poll-interval-ms", "100"]);
    fs::rename(&repository, &away).unwrap();
    fs::create_dir(&repository).unwrap();
    let empty = format!("no model was found in `{}`", repository.display());
    let lost = format!("{empty}; the models that it had are served");
    wait_for_health(&server, |_, health| health.contains(&lost));
    let model = get(&server.address, "/models/digits").json();
    assert!(model.to_string().contains(&lost), "{model}");
    let answer = post_json(&server.address, "/models/digits/predict", &row());
    assert_eq!(answer.status, 200);
    let next = Lockgate::start(
        &["serve".to_owned(), repository.display().to_string()],
        "add <repository>/<model>/1/model.onnx",
    );
    let ready = get(&next.address, "/health/ready");
    assert_eq!(
        (ready.status, &ready.json()["reason"]),
        (503, &json!(empty))
    );
    fs::remove_dir(&repository).unwrap();
    fs::rename(&away, &repository).unwrap();
    for server in [&server, &next] {
        wait_for_health(server, |status, health| {
            status == 200 && !health.contains(&empty)
        });
        let answer = post_json(&server.address, "/models/digits/predict", &row());
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn a_version_that_fails_to_load_leaves_the_others_serving_and_says_why() {
    let repository = repository_with_version_1();
    fs::create_dir_all(repository.path().join("digits/2")).unwrap();
    fs::write(
        repository.path().join("digits/2/model.onnx"),
        b"this is no model",
    )
    .unwrap();
    let server = Lockgate::serve(repository.path(), &[]);
    let reply = post_json(&server.address, "/models/digits/predict", &row());
    assert_eq!(
        (reply.status, reply.json()["model_version"].as_str()),
        (200, Some("1"))
    );
    let model = get(&server.address, "/models/digits").json();
    let broken = model["versions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["version"] == "2");
    let broken = broken.unwrap();
    assert_eq!(broken["state"], "unavailable", "{model}");
    assert!(
        broken["reason"].as_str().unwrap().contains("model.onnx"),
        "{model}"
    );
}

#[test]
fn two_hundred_reloads_do_not_grow_the_memory() {
    let repository = tempfile::tempdir().unwrap();
    copy_folder(
        &examples().join("models/digits"),
        &repository.path().join("digits"),
    );
    let server = Lockgate::serve(repository.path(), &["--model-control", "true"]);
    let mut connection = Connection::open(&server.address).unwrap();
    let mut reload = |n: usize| {
        for _ in 0..n {
            for action in ["unload", "load"] {
                let path = format!("/v2/repository/models/digits/{action}");
                let reply = connection.post_json(&path, &json!({})).unwrap();
                assert_eq!(
                    reply.status,
                    200,
                    "{}",
                    String::from_utf8_lossy(&reply.body)
                );
            }
        }
    };
    reload(40);
    let before = server.memory_bytes();
    reload(160);
    let after = server.memory_bytes();
    assert!(
        after < before + GROWTH_LIMIT_BYTES,
        "{before} bytes grew to {after}"
    );
    assert_eq!(
        post_json(&server.address, "/models/digits/predict", &row()).status,
        200
    );
}
