//! Whole calls with feedback, against a server that does not know the request `unknown`.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use contract::testing::EchoServer;
use contract::{FeedbackTarget, FeedbackValue, Label, ModelName, RequestId};
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::context::Limits;
use crate::native::Native;
use crate::rest::handler;

fn router() -> Router {
    let server = Arc::new(EchoServer::default());
    let ctx = Arc::new(Context {
        limits: Limits {
            batch_requests: 3,
            ..Limits::default()
        },
        ..Context::of(&server)
    });
    Router::new().route(
        "/v1/feedback",
        post(handler::<Native, _, _>(&ctx, feedback)),
    )
}

async fn reply(router: &Router, body: &str) -> String {
    let request = Request::post("/v1/feedback")
        .header("x-request-id", "test")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_item_is_answered_for_itself() {
    let bodies = [
        r#"{"request_id": "a", "reward": 0.5}"#,
        r#"{"request_id": "a", "label": "cat", "model": "digits", "ts": "2026-01-02T03:04:05Z"}"#,
        r#"{"unit": 42, "reward": -1e3, "ts": 1767323045.5}"#,
        r#"{"request_id": "unknown", "reward": 1}"#,
        r#" [{"request_id": "a", "reward": 1}, {"request_id": "unknown", "label": 7}]"#,
        "[]",
    ];
    let (router, mut shown) = (router(), String::new());
    for body in bodies {
        shown.push_str(&format!("{body}\n    {}\n", reply(&router, body).await));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_place() {
    let bodies = [
        "",
        "5",
        "{}",
        r#"{"request_id": "a"}"#,
        r#"{"request_id": "a", "unit": "b", "reward": 1}"#,
        r#"{"request_id": "a", "reward": 1, "label": "b"}"#,
        r#"{"request_id": "a", "reward": "much"}"#,
        r#"{"request_id": "a", "reward": 1e999}"#,
        r#"{"request_id": "a", "label": 1.5}"#,
        r#"{"request_id": "a", "rewrad": 1}"#,
        r#"{"request_id": "a", "reward": 1, "model": "a/b"}"#,
        r#"[{"request_id": "a", "reward": 1}, {"request_id": "a"}]"#,
        r#"[{"request_id": "a", "reward": 1}, {"request_id": 5, "reward": 1}]"#,
        "[1, 2, 3, 4]",
        r#"[{"unit": 1, "reward": 1}, {"unit": 1, "reward": 1}, {"unit": 1, "reward": 1},
            {"unit": 1, "reward": 1}]"#,
    ];
    let (router, mut shown) = (router(), String::new());
    for body in bodies {
        shown.push_str(&format!("{body}\n    {}\n", reply(&router, body).await));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_truth_value_is_a_label_of_zero_or_one() {
    let body: FeedbackItem = serde_json::from_str(r#"{"request_id": "a", "label": true}"#).unwrap();
    let expected = FeedbackValue::Label(Label::Integer(1));
    assert_eq!(body.into_feedback().unwrap().value, expected);
}

fn any_feedback() -> impl Strategy<Value = Feedback> {
    let target = prop_oneof![
        any::<String>().prop_map(FeedbackTarget::Request),
        any::<String>().prop_map(FeedbackTarget::Unit),
    ];
    let value = prop_oneof![
        prop::num::f64::NORMAL.prop_map(FeedbackValue::Reward),
        any::<i64>().prop_map(|label| FeedbackValue::Label(Label::Integer(label))),
        any::<String>().prop_map(|label| FeedbackValue::Label(Label::Text(label))),
    ];
    let model = prop::option::of("[a-z][a-z0-9_]{0,9}");
    (target, value, model).prop_map(|(target, value, model)| Feedback {
        model: model.map(|name| ModelName::new(&name).unwrap()),
        target,
        value,
    })
}

fn written(feedback: &Feedback) -> String {
    let mut body = serde_json::Map::new();
    match &feedback.target {
        FeedbackTarget::Request(id) => body.insert("request_id".to_owned(), json!(id)),
        FeedbackTarget::Unit(unit) => body.insert("unit".to_owned(), json!(unit)),
    };
    match &feedback.value {
        FeedbackValue::Reward(reward) => body.insert("reward".to_owned(), json!(reward)),
        FeedbackValue::Label(Label::Integer(label)) => {
            body.insert("label".to_owned(), json!(label))
        }
        FeedbackValue::Label(Label::Text(label)) => body.insert("label".to_owned(), json!(label)),
    };
    if let Some(model) = &feedback.model {
        body.insert("model".to_owned(), json!(model.as_str()));
    }
    serde_json::Value::Object(body).to_string()
}

proptest! {
    #[test]
    fn feedback_is_read_as_it_was_meant(feedback in any_feedback()) {
        let body: FeedbackItem = serde_json::from_str(&written(&feedback)).unwrap();
        prop_assert_eq!(body.into_feedback().unwrap(), feedback);
    }

    #[test]
    fn no_body_breaks_the_reader(body in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        for body in [body, text.into_bytes()] {
            let call = Call {
                id: RequestId::new("test"),
                query: String::new(),
                headers: http::HeaderMap::new(),
                path: Vec::new(),
                body: body.into(),
                received: tokio::time::Instant::now().into_std(),
                deadline: None,
            };
            drop(call.json::<FeedbackItem>().and_then(FeedbackItem::into_feedback));
            drop(call.json::<Vec<FeedbackItem>>().and_then(|items| parse_items(items, 3)));
        }
    }
}
