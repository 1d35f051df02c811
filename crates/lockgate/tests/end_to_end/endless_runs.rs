//! A model whose run does not end: other requests are served, and run and server can be ended.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use contract::ElementType;
use engines::testing::OnnxModel;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Connection, Reply, get, post_json};
use crate::process::Lockgate;

/// Adds 1 to each number, as often as an input says.
const LOOP: &[u8] = include_bytes!("../../../engines/tests/fixtures/loop_trips.onnx");

/// Takes days.
const ENDLESS: i64 = 900_000_000_000;

fn put(models: &Path, name: &str, content: &[u8]) {
    let folder = models.join(name).join("1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.onnx"), content).unwrap();
}

fn models() -> TempDir {
    let models = tempfile::tempdir().unwrap();
    put(models.path(), "loop", LOOP);
    let identity = OnnxModel::identity(ElementType::F32, "batch,2");
    put(models.path(), "identity", &identity.to_bytes());
    models
}

fn loop_request(trips: i64) -> Value {
    json!({"inputs": [
        {"name": "trips", "shape": [], "datatype": "INT64", "data": [trips]},
        {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]},
    ]})
}

fn run_loop(address: &str, trips: i64, timeout_ms: &str) -> Reply {
    let headers = [
        ("content-type", "application/json"),
        ("x-request-timeout-ms", timeout_ms),
    ];
    let body = loop_request(trips).to_string();
    let mut connection = Connection::open(address).unwrap();
    let reply = connection.call("POST", "/v2/models/loop/infer", &headers, body.as_bytes());
    reply.unwrap()
}

/// Reads the metrics until one of the lines is this one.
fn await_metric(address: &str, line: &str) {
    loop {
        let metrics = String::from_utf8(get(address, "/metrics").body).unwrap();
        if metrics.lines().any(|found| found == line) {
            return;
        }
    }
}

#[test]
fn a_loop_without_end_is_ended_at_its_deadline_while_others_are_served() {
    let models = models();
    let server = Lockgate::serve(models.path(), &[]);
    let model = get(&server.address, "/models/loop").json().to_string();
    assert!(model.contains("because of operator `Loop`"), "{model}");
    assert_eq!(run_loop(&server.address, 3, "10000").status, 200);

    let (has_ended, address) = (AtomicBool::new(false), &*server.address);
    let n_served = thread::scope(|scope| {
        // More at once than there are threads for connections.
        let callers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| run_loop(address, ENDLESS, "1000").status))
            .collect();
        let others = scope.spawn(|| {
            let mut connection = Connection::open(address).unwrap();
            let mut n_served = 0;
            while !has_ended.load(Ordering::Relaxed) {
                assert_eq!(connection.get("/health/live").unwrap().status, 200);
                let body = json!({"data": [[1.0, 2.0]]});
                let reply = connection.post_json("/models/identity/predict", &body);
                assert_eq!(reply.unwrap().status, 200);
                n_served += 1;
            }
            n_served
        });
        for caller in callers {
            assert_eq!(caller.join().unwrap(), 504);
        }
        has_ended.store(true, Ordering::Relaxed);
        others.join().unwrap()
    });
    assert!(
        n_served >= 10,
        "only {n_served} calls were answered meanwhile"
    );
    let reply = run_loop(address, 3, "10000");
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert_eq!(reply.json()["outputs"][0]["data"], json!([4.0, 5.0]));
    let metrics = String::from_utf8(get(address, "/metrics").body).unwrap();
    let counts = "lockgate_runs_terminated_total{model=\"loop\",model_version=\"1\",";
    assert!(
        metrics.contains(&format!("{counts}reason=\"limit\"}} 0")),
        "{metrics}"
    );
    assert!(
        !metrics.contains(&format!("{counts}reason=\"deadline\"}} 0")),
        "{metrics}"
    );
}

#[test]
fn a_loop_without_end_is_ended_at_the_limit_of_the_model() {
    let models = models();
    let settings = models.path().join("loop/model.yaml");
    fs::write(settings, "run_timeout_ms: 300\n").unwrap();
    let server = Lockgate::serve(models.path(), &[]);
    let reply = post_json(
        &server.address,
        "/v2/models/loop/infer",
        &loop_request(ENDLESS),
    );
    assert_eq!(reply.status, 500);
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("`run_timeout_ms`"), "{text}");
}

#[test]
fn sigterm_ends_a_server_whose_run_does_not_end() {
    let models = models();
    let mut server = Lockgate::serve(models.path(), &["--drain-timeout-ms", "200"]);
    let address = server.address.clone();
    let caller = thread::spawn(move || {
        let mut connection = Connection::open(&address).unwrap();
        // The connection is cut, or the request refused: either is right.
        drop(connection.post_json("/v2/models/loop/infer", &loop_request(ENDLESS)));
    });
    let running = "lockgate_in_flight_requests{model=\"loop\",model_version=\"1\"} 1.0";
    await_metric(&server.address, running);
    server.terminate();
    assert!(server.wait(), "the server ended with a failure");
    caller.join().unwrap();
}
