//! Units in requests, and who answered in replies.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use contract::testing::{EchoServer, model_info};
use contract::{Dimension, ElementType, Signature, TensorSpec, UnitSource};
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::*;
use crate::context::{Context, ServerInfo};
use crate::server::{Dialects, router};

fn attributes<'a>(headers: &'a HeaderMap, query: &'a str, json: &'a str) -> RestAttributes<'a> {
    RestAttributes {
        headers,
        query,
        json: json.as_bytes(),
        limits: JsonLimits {
            depth: 100,
            elements: 100,
        },
    }
}

#[test]
fn a_field_is_text_or_an_integer_of_the_body_or_the_query() {
    let rows = [
        (r#"{"user_id": "alice"}"#, "", Some("alice")),
        (r#"{"data": [[1]], "user_id": 12345}"#, "", Some("12345")),
        (r#"{"user_id": -7}"#, "", Some("-7")),
        (r#"{"user_id": "\u00e9"}"#, "", Some("é")),
        (r#"{"user_id": " a "}"#, "", Some(" a ")),
        (r#"{"user_id": ""}"#, "", Some("")),
        (r#"{"parameters": {"user_id": "bob"}}"#, "", Some("bob")),
        ("{}", "user_id=a%20b", Some("a b")),
        (r#"{"user_id": "body"}"#, "user_id=query", Some("body")),
        (r#"{"user_id": 1.5}"#, "", None),
        (r#"{"user_id": 1e3}"#, "", None),
        (r#"{"user_id": true}"#, "", None),
        (r#"{"user_id": null}"#, "", None),
        (r#"{"user_id": ["a"]}"#, "", None),
        (r#"{"user_id": "a"#, "", None),
        ("", "", None),
    ];
    let headers = HeaderMap::new();
    let wrong: Vec<_> = rows
        .iter()
        .filter(|(json, query, expected)| {
            attributes(&headers, query, json)
                .field("user_id")
                .as_deref()
                != *expected
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn dots_lead_into_nested_objects() {
    let headers = HeaderMap::new();
    let json = r#"{"user": {"id": "alice", "age": 7}}"#;
    let attributes = attributes(&headers, "user.id=q", json);
    assert_eq!(attributes.field("user.id").as_deref(), Some("alice"));
    assert_eq!(attributes.field("user"), None);
    assert_eq!(attributes.field("user.id.x"), None);
}

#[test]
fn headers_and_cookies_are_read_as_they_came() {
    let fields = [
        ("x-user-id", "Alice "),
        ("cookie", "a=1; sid=x=y"),
        ("cookie", "b=\"2\"; empty="),
    ];
    let headers: HeaderMap = fields
        .iter()
        .map(|&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    let attributes = attributes(&headers, "", "");
    let cookies = ["a", "sid", "b", "empty", "c"].map(|name| attributes.cookie(name));
    let cookies = cookies.each_ref().map(|value| value.as_deref());
    assert_eq!(
        cookies,
        [Some("1"), Some("x=y"), Some("\"2\""), Some(""), None]
    );
    assert_eq!(attributes.header("X-User-Id").as_deref(), Some("Alice "));
    assert_eq!(attributes.header("no such header"), None);
}

/// A server of `m`, two numbers in and out, which calls the arm of a request by its unit.
fn server(source: UnitSource) -> Router {
    serve(|echo| echo.with_unit(source))
}

fn serve(change: impl FnOnce(EchoServer) -> EchoServer) -> Router {
    let numbers = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Fixed(2)],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![numbers("x")],
        outputs: vec![numbers("y")],
    };
    let echo = Arc::new(change(EchoServer::new([model_info("m", "3", signature)])));
    let ctx = Context {
        server: ServerInfo {
            version: "1.2.3".to_owned(),
            is_gpu_available: false,
            is_control_enabled: false,
            is_strict_json: false,
        },
        ..Context::of(&echo)
    };
    router(&Arc::new(ctx), Dialects::ALL)
}

/// The version and the arm in the head of the reply, and its status.
async fn served_by(
    router: &Router,
    path: &str,
    json: &str,
) -> (StatusCode, Option<String>, Option<String>) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("x-user", "from-header")
        .header("cookie", "sid=from-cookie")
        .body(Body::from(json.to_owned()))
        .unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let header = |name: HeaderName| {
        let value = reply.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    (reply.status(), header(VERSION), header(ARM))
}

#[tokio::test]
async fn replies_to_inferences_name_the_version_and_arm_that_served_them() {
    let plain = r#"{"data": [[1, 2]], "user_id": "from-body"}"#;
    let open = r#"{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
        "parameters": {"user_id": 12345}}"#;
    let field = || UnitSource::Field("user_id".to_owned());
    let header = UnitSource::Header("x-user".to_owned());
    let cookie = UnitSource::Cookie("sid".to_owned());
    let rows = [
        (field(), "/predict", plain, Some("from-body")),
        (
            field(),
            "/models/m/predict?user_id=q",
            r#"{"data": [[1, 2]]}"#,
            Some("q"),
        ),
        (field(), "/v2/models/m/infer", open, Some("12345")),
        (header.clone(), "/predict", plain, Some("from-header")),
        (header, "/v2/models/m/infer", open, Some("from-header")),
        (
            cookie,
            "/v2/models/m/versions/3/infer",
            open,
            Some("from-cookie"),
        ),
        (UnitSource::Random, "/predict", plain, None),
    ];
    for (source, path, json, arm) in rows {
        let expected = (StatusCode::OK, Some("3".to_owned()), arm.map(str::to_owned));
        let got = served_by(&server(source.clone()), path, json).await;
        assert_eq!(got, expected, "{source:?} {path}");
    }
}

/// A bandit that gives every arm the probability 0.8462.
fn bandit() -> Router {
    let source = UnitSource::Field("user_id".to_owned());
    serve(|echo| echo.with_unit(source).with_propensity(0.8462))
}

#[tokio::test]
async fn replies_of_bandits_carry_the_propensity_of_their_arm() {
    let plain = r#"{"data": [[1, 2]], "user_id": "a"}"#;
    let open = r#"{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
        "parameters": {"user_id": "a"}}"#;
    let without_unit = r#"{"data": [[1, 2]]}"#;
    for (path, json, expected) in [
        ("/predict", plain, Some("0.8462")),
        ("/v2/models/m/infer", open, Some("0.8462")),
        ("/predict", without_unit, None),
        ("/predict/batch", r#"{"requests": []}"#, None),
    ] {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(json));
        let reply = bandit().oneshot(request.unwrap()).await.unwrap();
        let served_by = reply.headers().get(PROPENSITY);
        let served_by = served_by.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(served_by.as_deref(), expected, "{path}");
    }
}

#[tokio::test]
async fn each_result_of_a_batch_of_a_bandit_carries_its_propensity() {
    let body = r#"{"requests": [{"user_id": "a", "data": [[1, 2]]}, {"data": [[1, 2]]}]}"#;
    let request = Request::post("/predict/batch").body(Body::from(body));
    let reply = bandit().oneshot(request.unwrap()).await.unwrap();
    let reply = axum::body::to_bytes(reply.into_body(), usize::MAX).await;
    let reply: serde_json::Value = serde_json::from_slice(&reply.unwrap()).unwrap();
    let served_by = [0, 1].map(|index| reply["results"][index]["propensity"].as_f64());
    assert_eq!(served_by, [Some(0.8462), None], "{reply}");
}

#[tokio::test]
async fn calls_of_many_requests_name_no_version_in_their_head() {
    let router = server(UnitSource::Random);
    let batch = r#"{"requests": [{"data": [[1, 2]]}]}"#;
    assert_eq!(
        served_by(&router, "/predict/batch", batch).await,
        (StatusCode::OK, None, None)
    );
}

#[tokio::test]
async fn each_result_of_a_batch_names_its_arm() {
    let router = server(UnitSource::Field("user_id".to_owned()));
    let body = r#"{"requests": [{"user_id": "a", "data": [[1, 2]]}, {"user_id": "b", "data": [[1, 2]]},
        {"data": [[1, 2]]}, {"user_id": "c", "data": 5}]}"#;
    let request = Request::post("/predict/batch").body(Body::from(body));
    let reply = router.oneshot(request.unwrap()).await.unwrap();
    let reply = axum::body::to_bytes(reply.into_body(), usize::MAX).await;
    let reply: serde_json::Value = serde_json::from_slice(&reply.unwrap()).unwrap();
    let arms = [0, 1, 2, 3].map(|index| reply["results"][index]["arm"].as_str());
    assert_eq!(arms, [Some("a"), Some("b"), None, None], "{reply}");
}
