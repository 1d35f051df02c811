//! Whole calls, against a server that repeats its inputs.

use axum::body::Body;
use contract::testing::{EchoServer, model_info};
use contract::{Dimension, ElementType, ModelInfo, Signature, Tensor, TensorSpec};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::admin::routes;
use crate::context::ServerInfo;

/// Rows of two scores; version 2 calls its classes by name.
fn digits(version: &str) -> ModelInfo {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Fixed(2)],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![tensor("x")],
        outputs: vec![tensor("probabilities")],
    };
    ModelInfo {
        labels: match version {
            "2" => vec!["cat".to_owned(), "dog".to_owned()],
            _ => Vec::new(),
        },
        ..model_info("digits", version, signature)
    }
}

fn router(server: EchoServer, is_control_enabled: bool) -> axum::Router {
    let server = Arc::new(server);
    let ctx = Context {
        server: ServerInfo {
            version: "0.0.0-test".to_owned(),
            is_gpu_available: false,
            is_control_enabled,
            is_strict_json: false,
        },
        ..Context::of(&server)
    };
    routes(&Arc::new(ctx))
}

fn echo() -> EchoServer {
    EchoServer::new(["1", "2"].map(digits))
}

/// The reply to a comparison as status and JSON.
async fn compare_with(router: axum::Router, body: &str) -> (u16, Value) {
    let request = Request::post("/api/compare")
        .header("x-request-id", "test")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let reply = router.oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Takes the numbers out that a clock has measured.
fn without_times(reply: &mut Value) {
    for version in reply["versions"].as_array_mut().unwrap() {
        for key in [
            "latency_ms",
            "rows_per_second",
            "rows_per_second_concurrent",
        ] {
            if !version[key].is_null() {
                version[key] = json!("measured");
            }
        }
    }
    reply["compared_at"] = json!("2026-12-01T08:00:00Z");
    for pair in reply["pairs"].as_array_mut().unwrap() {
        pair["latency_ratio"] = json!("measured");
    }
}

#[tokio::test]
async fn a_report_has_every_part() {
    let body = json!({
        "model": "digits", "versions": [1, "2"], "concurrency": 4,
        "items": [{"data": [[0.1, 0.9], [0.8, 0.2]]}, {"inputs": {"x": [0.3, 0.7]}}],
        "labels": [["1", 0], 0],
    });
    let (status, mut reply) = compare_with(router(echo(), true), &body.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    without_times(&mut reply);
    insta::assert_json_snapshot!(reply);
}

#[tokio::test]
async fn recorded_requests_are_compared() {
    let tensor = Tensor::from_values([1, 2].into(), vec![0.25_f32, 0.75]).unwrap();
    let name = "x".to_owned();
    let recorded = vec![vec![NamedTensor { name, tensor }]; 3];
    let body = json!({"model": "digits", "versions": ["1", "2"], "recorded": 2, "timeout_s": 1});
    let router = router(echo().with_recorded(recorded), true);
    let (status, reply) = compare_with(router, &body.to_string()).await;
    assert_eq!(
        (status, &reply["source"]),
        (200, &json!("recorded")),
        "{reply}"
    );
    assert_eq!(
        (&reply["items"], &reply["pairs"][0]["agreeing"]),
        (&json!(2), &json!(2))
    );
}

/// A server whose version 2 gives its second input, and whose version 1 gives its first.
fn rotated() -> EchoServer {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Fixed(2)],
        is_optional: false,
    };
    let version = |version: &str, inputs: [&str; 2]| {
        let signature = Signature {
            inputs: inputs.map(tensor).to_vec(),
            outputs: vec![tensor("scores")],
        };
        model_info("digits", version, signature)
    };
    EchoServer::new([version("1", ["x", "y"]), version("2", ["y", "x"])])
}

#[tokio::test]
async fn versions_that_differ_are_reported() {
    let body = json!({
        "model": "digits", "versions": ["1", "2", "1"], "atol": 0.05, "rtol": 0,
        "items": [
            {"inputs": {"x": [0.25, 0.75], "y": [0.25, 0.75]}},
            {"inputs": {"x": [0.25, 0.75], "y": [0.75, 0.25]}},
            {"inputs": {"x": [0.25, 0.75], "y": [0.28125, 0.75]}},
        ],
        "labels": [1.0, "1", 1],
    });
    let (status, reply) = compare_with(router(rotated(), true), &body.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    let pair = &reply["pairs"][0];
    assert_eq!(
        (&pair["agreeing"], &pair["classes"]["same"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(pair["differing_items"], json!([1]));
    assert_eq!(pair["outputs"][0]["differing"], 2);
    assert_eq!(pair["outputs"][0]["largest_absolute"], 0.5);
    assert_eq!(pair["outputs"][0]["largest_relative"], 2.0);
    assert_eq!(pair["outputs"][0]["mean_absolute"], 1.03125 / 6.0);
    assert_eq!(pair["labels"]["only_reference_correct"], 1);
    assert_eq!(reply["versions"][1]["accuracy"]["correct"], 2);
    assert_eq!(reply["pairs"][1]["other"], "1");
    assert_eq!(reply["pairs"][1]["agreement"], 1.0);
}

#[tokio::test]
async fn items_that_a_version_cannot_take_are_refused_with_their_place() {
    let body = json!({
        "model": "digits", "versions": ["1", "2"],
        "items": [{"inputs": {"x": [1, 2], "y": [1, 2]}}, {"inputs": {"z": [1, 2]}}],
    });
    let (status, reply) = compare_with(router(rotated(), true), &body.to_string()).await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("`items[1]`: unexpected inference input `z`"),
        "{message}"
    );
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_recording_without_requests_is_an_error() {
    let body = r#"{"model": "digits", "versions": ["1", "2"], "recorded": 2, "timeout_s": 0.5}"#;
    let (status, reply) = compare_with(router(echo(), true), body).await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("no request for `digits` came within 0.5 s"),
        "{message}"
    );
    assert_eq!(status, 504);
}

#[tokio::test]
async fn a_failing_version_is_reported_and_is_no_error() {
    let body = json!({"model": "digits", "versions": ["1", "2"], "items": [{"data": [1, 2]}]});
    let server = echo().failing(Error::new(contract::Code::EngineFailed, "it is broken"));
    let (status, reply) = compare_with(router(server, true), &body.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["versions"][1]["first_error"], "it is broken");
    assert_eq!(reply["versions"][1]["latency_ms"], Value::Null);
}

#[tokio::test]
async fn a_slip_is_refused_with_the_path_of_its_key() {
    let with = |keys: &str| format!(r#"{{"model": "digits", "versions": ["1", "2"], {keys}}}"#);
    let item = r#""items": [{"data": [1, 2]}]"#;
    let bodies = [
        String::new(),
        "[]".to_owned(),
        r#"{"model": "digits"}"#.to_owned(),
        r#"{"model": "digits", "versions": ["1"], "recorded": 1}"#.to_owned(),
        r#"{"model": "digits", "versions": ["1", {}], "recorded": 1}"#.to_owned(),
        r#"{"model": "digits", "versions": ["1", "3"], "recorded": 1}"#.to_owned(),
        r#"{"model": "nobody", "versions": ["1", "2"], "recorded": 1}"#.to_owned(),
        with(r#""itmes": []"#),
        with(r#""atol": 0"#),
        with(r#""items": []"#),
        with(r#""items": [{"data": [1, 2]}, {"dta": [1, 2]}]"#),
        with(r#""items": [{"data": "x"}]"#),
        with(&format!(r#"{item}, "recorded": 1"#)),
        with(&format!(r#"{item}, "timeout_s": 1"#)),
        with(&format!(r#"{item}, "labels": [1, 2]"#)),
        with(&format!(r#"{item}, "labels": [[1, 2]]"#)),
        with(&format!(r#"{item}, "labels": [true]"#)),
        with(&format!(r#"{item}, "atol": -1"#)),
        with(&format!(r#"{item}, "concurrency": 0"#)),
        with(r#""recorded": 1001"#),
        with(r#""recorded": 1, "timeout_s": 0"#),
        with(r#""recorded": 1, "labels": [1]"#),
    ];
    let mut shown = String::new();
    for body in bodies {
        let (status, reply) = compare_with(router(echo(), true), &body).await;
        let message = reply["error"]["message"].as_str().unwrap();
        shown.push_str(&format!("{body}\n    {status} {message}\n"));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn nothing_is_compared_unless_the_server_lets_itself_be_controlled() {
    let (status, reply) = compare_with(router(echo(), false), "{}").await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains("`model_control: true`"), "{message}");
    assert_eq!(status, 400);
}
