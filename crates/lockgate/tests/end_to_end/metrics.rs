//! The metrics, as the tools of Prometheus read them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::http::{Connection, get};
use crate::process::{Lockgate, examples, promtool};

#[test]
fn promtool_finds_nothing_to_criticise() {
    let server = Lockgate::serve(&examples().join("models"), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    for data in [json!([vec![0; 64]]), json!([["a"]])] {
        let reply = connection.post_json("/models/digits/predict", &json!({"data": data}));
        reply.unwrap();
    }
    let metrics = get(&server.address, "/metrics").body;
    let mut check = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(&metrics).unwrap();
    let output = check.wait_with_output().unwrap();
    let findings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{findings}");
    assert_eq!(findings, "");
}
