//! Notifications of rollouts, from a real server to a receiver on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::http::{get, post_json};
use crate::process::{Lockgate, copy_folder, examples};

/// The head and the body of one request, which is not answered yet.
fn read(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut n_bytes) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{head}");
        let length = line.strip_prefix("content-length: ");
        n_bytes = length.map_or(n_bytes, |length| length.trim().parse().unwrap());
        head.push_str(&line);
    }
    let mut body = vec![0; n_bytes];
    reader.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

/// The public address of the server.
const PUBLIC_URL: &str = "https://models.example";

/// Starts a rollout of digits with these keys, and waits for its first step.
fn start(server: &Lockgate, keys: &Value) {
    let mut rollout = json!({
        "id": "trial",
        "model": "digits",
        "stable": "1",
        "candidate": "2",
        "warmup": {"source": "synthetic"},
    });
    let keys = keys.as_object().unwrap().clone();
    rollout.as_object_mut().unwrap().extend(keys);
    let body = json!({"rollout": rollout});
    let started = post_json(&server.address, "/api/rollouts", &body);
    assert_eq!(started.status, 201, "{}", started.json());
    while status(server)["state"] != "step" {
        thread::yield_now();
    }
}

/// Makes an operator act on the rollout.
fn act(server: &Lockgate, action: &str) -> Value {
    let because = json!({"reason": "complaints"});
    let path = format!("/api/rollouts/trial/{action}");
    post_json(&server.address, &path, &because).json()
}

/// Accepts one request; returns its head and its body.
fn accept(receiver: &TcpListener) -> (String, Value) {
    let (mut stream, _) = receiver.accept().unwrap();
    let request = read(&stream);
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(reply).unwrap();
    request
}

fn status(server: &Lockgate) -> Value {
    get(&server.address, "/api/rollouts/trial").json()
}

#[test]
fn a_rollback_notification_survives_a_kill_before_its_delivery() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let alertmanager = format!("http://{}/alerts/", receiver.local_addr().unwrap());
    let (repository, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digits = repository.path().join("digits");
    copy_folder(&examples().join("models/digits"), &digits);
    let state = state.path().display().to_string();
    let flags = [
        "--model-control",
        "--state-dir",
        &state,
        "--public-url",
        PUBLIC_URL,
    ];
    let mut server = Lockgate::serve(repository.path(), &flags);
    let notify = json!([{"alertmanager": alertmanager}]);
    start(&server, &json!({"on_rollback": {"notify": notify}}));
    assert_eq!(act(&server, "rollback")["state"], "rolled_back");
    let (unanswered, _) = receiver.accept().unwrap();
    server.kill();
    drop(unanswered);
    let server = Lockgate::serve(repository.path(), &flags);
    let (head, alerts) = accept(&receiver);
    let expected = "POST /alerts/api/v2/alerts HTTP/1.1\r\n";
    assert!(head.starts_with(expected), "{head}");
    let labels = json!({
        "alertname": "LockgateRollback",
        "model": "digits",
        "rollout": "trial",
        "candidate": "2",
        "stable": "1",
        "reason": "operator",
    });
    assert_eq!(alerts[0]["labels"], labels);
    assert_eq!(alerts[0]["startsAt"], status(&server)["since"]);
    let link = format!("{PUBLIC_URL}/api/rollouts/trial");
    assert_eq!(alerts[0]["generatorURL"], link.as_str());
    let line = r#"lockgate_rollout_notifications_total{model="digits",outcome="delivered"} 1"#;
    let metrics = || String::from_utf8(get(&server.address, "/metrics").body).unwrap();
    while !metrics().contains(line) {
        thread::yield_now();
    }
}

#[test]
fn the_alert_of_a_hold_fires_until_the_hold_ends() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let alertmanager = format!("http://{}", receiver.local_addr().unwrap());
    let repository = tempfile::tempdir().unwrap();
    let digits = repository.path().join("digits");
    copy_folder(&examples().join("models/digits"), &digits);
    let server = Lockgate::serve(repository.path(), &["--model-control"]);
    start(
        &server,
        &json!({"notify": [{"alertmanager": alertmanager}]}),
    );
    act(&server, "hold");
    let (_, firing) = accept(&receiver);
    assert_eq!(firing[0]["labels"]["alertname"], "LockgateRolloutHeld");
    assert_eq!(firing[0]["labels"]["reason"], "operator");
    let since = status(&server)["since"].clone();
    assert_eq!(firing[0]["startsAt"], since);
    assert!(firing[0]["endsAt"].as_str() > since.as_str());
    act(&server, "resume");
    let (_, resolved) = accept(&receiver);
    assert_eq!(resolved[0]["labels"], firing[0]["labels"]);
    assert_eq!(resolved[0]["endsAt"], status(&server)["since"]);
}
