//! The log of a server whose standard output and error are dead, full or not read.

use std::fs::File;
use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use contract::ElementType;
use engines::testing::{OnnxModel, dims};
use serde_json::{Value, json};

use crate::http::{Connection, get};
use crate::process::{Lockgate, examples, lockgate};

/// Far more than fit into a pipe with their log lines.
const N_REQUESTS: usize = 2000;

/// A log line with such a path is as long as a page.
const LONG_PATH: usize = 4000;

fn serve(flags: &[&str], stderr: Stdio) -> Lockgate {
    Lockgate::serve_with_log(&examples().join("models"), flags, stderr)
}

/// Checks that every request is answered, health is fine, and SIGTERM is obeyed.
fn serves_and_ends(mut server: Lockgate) {
    answers_all(&server.address);
    server.terminate();
    assert!(server.wait(), "the server ended with a failure");
}

fn answers_all(address: &str) {
    let mut connection = Connection::open(address).unwrap();
    let body = json!({"data": [vec![0; 64]]});
    for number in 0..N_REQUESTS {
        let reply = connection.post_json("/models/digits/predict", &body);
        assert_eq!(reply.unwrap().status, 200, "request {number}");
    }
    assert_eq!(get(address, "/health/ready").status, 200);
}

fn n_dropped_lines(address: &str) -> f64 {
    let metrics = String::from_utf8(get(address, "/metrics").body).unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("lockgate_log_lines_dropped_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_its_lost_lines_are_counted() {
    let server = serve(&[], Stdio::piped());
    answers_all(&server.address);
    // More than the pipe and the queue hold together.
    let mut connection = Connection::open(&server.address).unwrap();
    let path = format!("/{}", "x".repeat(LONG_PATH));
    for _ in 0..N_REQUESTS / 2 {
        assert_eq!(connection.get(&path).unwrap().status, 404);
    }
    assert!(n_dropped_lines(&server.address) > 0.0);
    serves_and_ends(server);
}

#[test]
fn a_log_whose_reader_has_gone_stops_nothing() {
    for flags in [["--access-log", "true"], ["--access-log", "false"]] {
        let mut server = serve(&flags, Stdio::piped());
        let mut log = server.log();
        let mut first = String::new();
        log.read_line(&mut first).unwrap();
        drop(log);
        assert!(!first.is_empty());
        serves_and_ends(server);
    }
}

#[test]
fn a_server_goes_on_when_the_reader_of_its_greeting_has_gone() {
    let command = [
        "serve".to_owned(),
        examples().join("models").display().to_string(),
    ];
    let mut server = Lockgate::start(&command, "listening on");
    server.close_stdout();
    while get(&server.address, "/health/ready").status != 200 {}
    serves_and_ends(server);
}

#[test]
fn a_server_serves_though_both_of_its_outputs_are_full() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Its address is printed to a closed output.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut child = lockgate(folder.path())
        .arg("serve")
        .arg(examples().join("models"))
        .args(["--port", &address.port().to_string()])
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    let address = address.to_string();
    let is_ready = || {
        let reply = Connection::open(&address).and_then(|mut open| open.get("/health/ready"));
        reply.is_ok_and(|reply| reply.status == 200)
    };
    while !is_ready() {
        assert_eq!(child.try_wait().unwrap(), None, "the server ended");
        std::thread::yield_now();
    }
    answers_all(&address);
    assert!(n_dropped_lines(&address) >= N_REQUESTS as f64);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The access lines of a server that was asked once, with a log of JSON.
fn access_lines(flags: &[&str]) -> Vec<Value> {
    let flags = [&["--log-format", "json"], flags].concat();
    let mut server = serve(&flags, Stdio::piped());
    let mut connection = Connection::open(&server.address).unwrap();
    let body = json!({"model": "digits", "data": [vec![0; 64]]});
    let reply = connection.post_json("/predict", &body).unwrap();
    assert_eq!(reply.status, 200);
    server.terminate();
    let mut text = String::new();
    server.log().read_to_string(&mut text).unwrap();
    assert!(server.wait());
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["target"] == "access")
        .collect()
}

#[test]
fn an_access_line_names_the_model_and_the_version_that_answered() {
    let lines = access_lines(&[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for (key, value) in [("model", "digits"), ("version", "2"), ("path", "/predict")] {
        assert_eq!(lines[0][key], value, "{lines:?}");
    }
    assert_eq!(lines[0].get("arm"), None, "{lines:?}");
}

#[test]
fn access_lines_obey_the_level_of_the_log() {
    let cases: [(&[&str], usize); 4] = [
        (&["--log-level", "warning"], 0),
        (&["--log-level", "error,access=info"], 1),
        (&["--access-log", "false"], 0),
        (&["--log-level", "info,access=off"], 0),
    ];
    for (flags, n_lines) in cases {
        assert_eq!(access_lines(flags).len(), n_lines, "{flags:?}");
    }
}

#[test]
fn a_wrong_declared_shape_is_one_warning_for_a_model_and_not_one_for_each_request() {
    let repository = tempfile::tempdir().unwrap();
    let folder = repository.path().join("counter/1");
    std::fs::create_dir_all(&folder).unwrap();
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("3"))
        .output("y", ElementType::I64, &dims("1,3"))
        .node("NonZero", &["x"], &["y"]);
    std::fs::write(folder.join("model.onnx"), model.to_bytes()).unwrap();
    let mut server = Lockgate::serve_with_log(repository.path(), &[], Stdio::piped());
    let mut log = server.log();
    let mut connection = Connection::open(&server.address).unwrap();
    for _ in 0..20 {
        let body = json!({"data": [1, 0, 1]});
        let reply = connection.post_json("/models/counter/predict", &body);
        assert_eq!(reply.unwrap().status, 200);
    }
    server.terminate();
    assert!(server.wait());
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let warnings = text.lines().filter(|line| line.contains("Expected shape"));
    assert_eq!(warnings.count(), 1, "{text}");
}
