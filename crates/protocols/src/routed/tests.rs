use std::sync::Arc;

use axum::body::Body;
use contract::testing::{EchoServer, RecordingObserver, model_info};
use contract::{Code, Dimension, ElementType, Error, Signature, TensorSpec};
use http::{Request, Response};
use http_body_util::BodyExt;
use prost::Message;
use serde_json::{Value, json};

use crate::context::Context;
use crate::open_inference::grpc::generated::inference::model_infer_request::InferInputTensor;
use crate::open_inference::grpc::generated::inference::{
    ModelInferRequest, ModelStreamInferResponse,
};
use crate::testing::{self, answer};

fn server() -> EchoServer {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Symbol("batch".to_owned()), Dimension::Fixed(2)],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
    };
    EchoServer::new([model_info("m", "7", signature)])
}

fn context(server: EchoServer) -> (Arc<Context>, Arc<RecordingObserver>) {
    let observer = Arc::new(RecordingObserver::default());
    let ctx = Context {
        observe: Arc::clone(&observer) as _,
        ..Context::of(&Arc::new(server))
    };
    (Arc::new(ctx), observer)
}

fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn predict(data: &Value) -> Request<Body> {
    post("/models/m/predict", &json!({ "data": data }))
}

fn batch(data: &Value) -> Request<Body> {
    post("/predict/batch", &json!([{ "model": "m", "data": data }]))
}

fn infer(data: &Value) -> Request<Body> {
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": data});
    post("/v2/models/m/infer", &json!({ "inputs": [input] }))
}

/// A message with so many bytes for two numbers.
fn grpc(method: &str, n_bytes: usize) -> Request<Body> {
    let message = ModelInferRequest {
        model_name: "m".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 2],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![vec![0; n_bytes].into()],
        ..ModelInferRequest::default()
    };
    testing::post(method, testing::framed(0, &message.encode_to_vec()))
}

/// The version that a failed answer names: in its head, or in a body with several answers.
async fn failed_version(response: Response<Body>) -> Option<String> {
    if let Some(version) = response.headers().get("x-lockgate-version") {
        return Some(version.to_str().unwrap().to_owned());
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    if let Ok(json) = serde_json::from_slice::<Value>(&body) {
        let version = &json["results"][0]["error"]["model_version"];
        return version.as_str().map(str::to_owned);
    }
    let message = ModelStreamInferResponse::decode(body.slice(5..)).unwrap();
    assert!(!message.error_message.is_empty());
    Some(message.infer_response?.model_version)
}

/// Requests of every protocol, whose inputs have a right or a wrong type.
fn requests(is_right: bool) -> Vec<Request<Body>> {
    let data = match is_right {
        true => json!([[1, 2]]),
        false => json!([["a", "b"]]),
    };
    let n_bytes = if is_right { 8 } else { 7 };
    vec![
        predict(&data),
        batch(&data),
        infer(&data),
        grpc("ModelInfer", n_bytes),
        grpc("ModelStreamInfer", n_bytes),
    ]
}

#[tokio::test]
async fn inputs_that_cannot_be_decoded_are_counted_at_their_version_and_name_it() {
    for request in requests(false) {
        let (ctx, observer) = context(server());
        let path = request.uri().path().to_owned();
        let version = failed_version(answer(&ctx, request).await).await;
        assert_eq!(version.as_deref(), Some("7"), "{path}");
        let events = observer.events();
        let mut counted = events.iter().filter(|event| {
            event.contains("RequestFinished") && event.contains("Some(InvalidRequest)")
        });
        assert!(counted.next().is_some(), "{path}: {events:?}");
        assert_eq!(counted.next(), None, "{path}");
    }
}

#[tokio::test]
async fn an_answer_that_the_engine_failed_to_give_names_the_version() {
    for request in requests(true) {
        let failing = server().failing(Error::new(Code::EngineFailed, "node `Div` failed"));
        let (ctx, _) = context(failing);
        let path = request.uri().path().to_owned();
        let version = failed_version(answer(&ctx, request).await).await;
        assert_eq!(version.as_deref(), Some("7"), "{path}");
    }
}

#[tokio::test]
async fn a_refusal_before_a_version_is_known_names_none() {
    let (ctx, observer) = context(server());
    let request = post("/models/ghost/predict", &json!({"data": [[1, 2]]}));
    let response = answer(&ctx, request).await;
    assert!(!response.headers().contains_key("x-lockgate-version"));
    let events = observer.events();
    let is_request = |event: &String| event.contains("RequestFinished");
    assert!(!events.iter().any(is_request), "{events:?}");
}
