//! Whole calls of operators, against a server that notes what it is asked to change.

use api::split::Traffic;
use axum::body::Body;
use contract::testing::{EchoServer, model_info};
use contract::{Signature, Split};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::context::ServerInfo;

fn router(is_control_enabled: bool) -> Router {
    let models = ["1", "2"].map(|version| model_info("digits", version, Signature::default()));
    let server = Arc::new(EchoServer::new(models));
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

/// `PUT /api/models/digits/traffic`, and the reply as status and JSON.
async fn call(router: &Router, line: &str, body: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/models/digits{path}"))
        .header("x-request-id", "test")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// The recorded calls, the oldest first.
async fn recorded(router: &Router) -> Vec<String> {
    let (_, reply) = call(router, "GET /history", "").await;
    let lines = reply["history"].as_array().unwrap().iter().rev();
    lines
        .map(|line| line["what"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_change_is_understood() {
    let router = router(true);
    let calls = [
        ("PUT /default", r#"{"version": 1}"#),
        ("PUT /default", r#"{"version": "stable"}"#),
        ("DELETE /default", ""),
        ("PUT /labels/canary", r#"{"version": "2"}"#),
        ("DELETE /labels/canary", ""),
        ("POST /versions/1/load", ""),
        ("POST /versions/v1.0/unload", "{}"),
        ("POST /rollback", ""),
        ("DELETE /traffic", ""),
    ];
    for (number, (line, body)) in (1..).zip(calls) {
        let (status, reply) = call(&router, line, body).await;
        assert_eq!(
            (status, &reply["generation"]),
            (200, &Value::from(number)),
            "{line}: {reply}"
        );
    }
    insta::assert_snapshot!(recorded(&router).await.join("\n"));
}

#[tokio::test]
async fn a_split_is_shown_as_it_can_be_set_again() {
    let router = router(true);
    let bodies = [
        r#"{"split": [{"version": "1", "weight": 0.9}, {"version": 2, "weight": 0.1}]}"#,
        r#"{"split": [{"version": "1", "weight": 1}], "unit": "random"}"#,
        r#"{"split": [{"version": "1", "weight": 1}], "unit": "user.id", "hash": "md5", "salt": "s"}"#,
        r#"{"split": [{"version": "1", "weight": 0.5, "name": "control"},
                {"version": "2", "weight": 0.5, "name": "treatment"}],
            "unit": {"from": "cookie", "name": "sid", "fallback": "stable"}, "hash": "growthbook-v2",
            "salt": "seed", "coverage": 0.5, "layer": {"name": "checkout", "range": [0, 0.5]},
            "override": {"header": "x-lockgate-arm"}}"#,
        r#"{"split": [{"version": "2", "weight": 0.5}, {"version": "1", "weight": 0.5}], "bandit": true}"#,
        r#"{"split": [{"version": "2", "weight": 0.5}, {"version": "1", "weight": 0.5}],
            "bandit": {"period": "1h30m", "min_units": 50, "floor": 0.02}}"#,
        r#"{"split": [{"version": "1", "weight": 1}], "bandit": false}"#,
    ];
    let mut shown = String::new();
    for body in bodies {
        let (status, reply) = call(&router, "PUT /traffic", body).await;
        assert_eq!(status, 200, "{reply}");
        let traffic = reply["traffic"].to_string();
        shown.push_str(&format!("{traffic}\n"));
        let (_, again) = call(&router, "PUT /traffic", &traffic).await;
        assert_eq!(again["traffic"], reply["traffic"]);
        let (_, current) = call(&router, "GET /traffic", "").await;
        assert_eq!(current, again);
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn a_slip_is_refused_with_the_path_of_its_key() {
    let router = router(true);
    let arms = r#""split": [{"version": "1", "weight": 1}]"#;
    let mut shown = String::new();
    for (line, body) in [
        ("PUT /traffic", String::new()),
        ("PUT /traffic", "[]".to_owned()),
        ("PUT /traffic", format!("{{{arms}}} and more")),
        ("PUT /traffic", r#"{"unit": "user_id"}"#.to_owned()),
        (
            "PUT /traffic",
            r#"{"split": [{"version": "1", "wieght": 1}]}"#.to_owned(),
        ),
        (
            "PUT /traffic",
            r#"{"split": [{"version": "1", "weight": "all"}]}"#.to_owned(),
        ),
        (
            "PUT /traffic",
            r#"{"split": [{"version": [1], "weight": 1}]}"#.to_owned(),
        ),
        ("PUT /traffic", format!(r#"{{{arms}, "hsah": "md5"}}"#)),
        ("PUT /traffic", format!(r#"{{{arms}, "hash": "sha1"}}"#)),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "bandit": {{"perod": "5m"}}}}"#),
        ),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "bandit": {{"floor": "low"}}}}"#),
        ),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "bandit": {{"period": "soon"}}}}"#),
        ),
        ("PUT /traffic", format!(r#"{{{arms}, "bandit": "yes"}}"#)),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "unit": {{"from": "air", "name": "a"}}}}"#),
        ),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "unit": {{"from": "header"}}}}"#),
        ),
        (
            "PUT /traffic",
            format!(r#"{{{arms}, "layer": {{"name": "a", "range": [0]}}}}"#),
        ),
        ("PUT /default", "{}".to_owned()),
        ("PUT /labels/canary", r#"{"version": true}"#.to_owned()),
        ("POST /versions/one/load", String::new()),
        ("GET /history?limit=0", String::new()),
    ] {
        let (status, reply) = call(&router, line, &body).await;
        let message = reply["error"]["message"].as_str().unwrap();
        shown.push_str(&format!("{line} {body}\n    {status} {message}\n"));
    }
    insta::assert_snapshot!(shown);
    assert_eq!(recorded(&router).await, [""; 0], "nothing was changed");
}

#[tokio::test]
async fn nothing_is_changed_unless_the_server_lets_itself_be_controlled() {
    let router = router(false);
    let calls = [
        (
            "PUT /traffic",
            r#"{"split": [{"version": "1", "weight": 1}]}"#,
        ),
        ("DELETE /traffic", ""),
        ("PUT /labels/canary", r#"{"version": "1"}"#),
        ("DELETE /labels/canary", ""),
        ("PUT /default", r#"{"version": "1"}"#),
        ("DELETE /default", ""),
        ("POST /versions/1/load", ""),
        ("POST /versions/1/unload", ""),
        ("POST /rollback", ""),
    ];
    for (line, body) in calls {
        let (status, reply) = call(&router, line, body).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("`model_control: true`"),
            "{line}: {message}"
        );
        assert_eq!(status, 400, "{line}");
    }
    assert_eq!(recorded(&router).await, [""; 0]);
    assert_eq!(
        call(&router, "GET /traffic", "").await.0,
        200,
        "reading is free"
    );
}

#[tokio::test]
async fn the_history_names_the_actor() {
    let router = router(true);
    for actor in [Some("cli"), None, Some(""), Some(&*"x".repeat(65))] {
        let mut request = Request::post("/api/models/digits/rollback");
        if let Some(actor) = actor {
            request = request.header("x-lockgate-actor", actor);
        }
        let request = request.body(Body::empty()).unwrap();
        let reply = router.clone().oneshot(request).await.unwrap();
        assert!(reply.status().is_success());
    }
    let (_, reply) = call(&router, "GET /history?limit=9", "").await;
    let lines = reply["history"].as_array().unwrap();
    let actors: Vec<_> = lines.iter().map(|line| &line["actor"]).collect();
    assert_eq!(actors, ["api", "api", "api", "cli"]);
    assert_eq!(lines[0]["at"], "1970-01-01T00:00:00.000Z");
    let (_, reply) = call(&router, "GET /history?limit=1", "").await;
    assert_eq!(reply["history"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let router = router(true);
    for (method, path) in [("GET", "traffic"), ("GET", "history"), ("POST", "rollback")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/models/nobody/{path}"))
            .body(Body::empty())
            .unwrap();
        let reply = router.clone().oneshot(request).await.unwrap();
        assert_eq!(reply.status().as_u16(), 404, "{path}");
    }
}

proptest::proptest! {
    /// Whatever comes as a body is a split or a refusal, and a split is shown as it can be set again.
    #[test]
    fn any_split_survives_being_shown(
        weight in proptest::num::f64::POSITIVE,
        version in "[a-z0-9]{1,5}",
        field in "[a-z.]{1,8}",
        coverage in 0.1..1.0_f64,
    ) {
        let body = format!(
            r#"{{"split": [{{"version": "{version}", "weight": {weight:e}}}], "unit": "{field}",
                "coverage": {coverage}}}"#
        );
        let read = |text: &str| -> Split {
            let body: Traffic = serde_json::from_str(text).unwrap();
            body.into_split().unwrap()
        };
        let split = read(&body);
        let shown = serde_json::to_string(&Traffic::from(&split)).unwrap();
        proptest::prop_assert_eq!(read(&shown), split);
    }

    #[test]
    fn no_body_breaks_the_reader(text in ".{0,60}") {
        drop(serde_json::from_str::<Traffic>(&text));
    }
}
