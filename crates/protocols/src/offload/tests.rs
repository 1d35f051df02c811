//! Every protocol hands its large conversions over, and no small one.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use async_compression::tokio::bufread::GzipEncoder;
use axum::body::Body;
use bytes::Bytes;
use contract::testing::{EchoServer, model_info};
use contract::{Dimension, ElementType, Signature, TensorSpec};
use http::Request;
use http_body_util::BodyExt;
use prost::Message;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::testing::large_conversions;
use super::*;
use crate::context::{Context, ServerInfo};
use crate::open_inference::grpc::generated::inference::model_infer_request::InferInputTensor;
use crate::open_inference::grpc::generated::inference::{InferTensorContents, ModelInferRequest};
use crate::testing::{self as grpc, framed};

/// Far more than the other task needs; a test that waits for it has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn other_tasks_of_the_thread_run_during_a_large_conversion() {
    let (tx, rx) = mpsc::sync_channel(1);
    let converting = tokio::spawn(async move {
        tokio::spawn(async move { tx.send(()) });
        offload(INLINE_BYTES + 1, || rx.recv_timeout(TIMEOUT))
    });
    assert_eq!(converting.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn only_large_conversions_are_handed_over() {
    let convert = async { offload(INLINE_BYTES, || 1) + offload(INLINE_BYTES + 1, || 2) };
    assert_eq!(large_conversions(convert).await, (3, 1));
}

/// Two versions of `numbers`, and `texts`: `x` comes back as `y`.
fn context() -> Arc<Context> {
    let model = |name: &str, version: &str, element_type| {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            element_type,
            dims: vec![Dimension::Dynamic, Dimension::Dynamic],
            is_optional: false,
        };
        let signature = Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        };
        let mut info = model_info(name, version, signature);
        info.max_request_rows = None;
        info
    };
    let echo = EchoServer::new([
        model("numbers", "1", ElementType::F32),
        model("numbers", "2", ElementType::F32),
        model("texts", "1", ElementType::Bytes),
    ]);
    Arc::new(Context {
        server: ServerInfo {
            version: "0.0.0".to_owned(),
            is_gpu_available: false,
            is_control_enabled: true,
            is_strict_json: true,
        },
        ..Context::of(&Arc::new(echo))
    })
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

/// A list of `n` numbers.
fn numbers(n: usize) -> String {
    format!("[[{}1]]", "0,".repeat(n - 1))
}

fn predict(n: usize) -> Request<Body> {
    post(
        "/models/numbers/predict",
        format!("{{\"data\":{}}}", numbers(n)),
    )
}

fn predict_for_gzip(n: usize) -> Request<Body> {
    let mut request = predict(n);
    let headers = request.headers_mut();
    headers.insert("accept-encoding", "gzip".parse().unwrap());
    request
}

async fn predict_in_gzip(n: usize) -> Request<Body> {
    let (mut parts, body) = predict(n).into_parts();
    parts
        .headers
        .insert("content-encoding", "gzip".parse().unwrap());
    let body = body.collect().await.unwrap().to_bytes();
    Request::from_parts(parts, Body::from(gzip(&body).await))
}

/// Many small bodies, whose sum is large.
fn batch(n: usize) -> Request<Body> {
    let padding = " ".repeat(n / 1000);
    let one = format!("{{\"model\":\"numbers\",\"data\":[[1]]}}{padding}");
    post(
        "/predict/batch",
        format!("[{one}{}]", format!(",{one}").repeat(1000)),
    )
}

fn infer_json(n: usize) -> Request<Body> {
    let body = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,{n}],"data":{}}}]}}"#,
        numbers(n)
    );
    post("/v2/models/numbers/infer", body)
}

/// Binary numbers stay as they are, in the request; the reply is text.
fn infer_binary(n: usize) -> Request<Body> {
    binary("numbers", "FP32", n)
}

/// The lengths of binary texts are checked.
fn infer_texts(n: usize) -> Request<Body> {
    binary("texts", "BYTES", n)
}

fn binary(model: &str, datatype: &str, n: usize) -> Request<Body> {
    let parameters = json!({ "binary_data_size": 4 * n });
    let input = json!({
        "name": "x", "datatype": datatype, "shape": [1, n], "parameters": parameters,
    });
    let head = json!({ "inputs": [input] }).to_string();
    let body = [head.as_bytes(), &vec![0; 4 * n]].concat();
    let mut request = post(&format!("/v2/models/{model}/infer"), body);
    let length = head.len().to_string().parse().unwrap();
    request
        .headers_mut()
        .insert("inference-header-content-length", length);
    request
}

fn feedback(n: usize) -> Request<Body> {
    post(
        "/v1/feedback",
        format!("{{\"request_id\":\"r\",\"reward\":1}}{}", " ".repeat(n)),
    )
}

fn compare(n: usize) -> Request<Body> {
    let body = format!(
        r#"{{"model":"numbers","versions":["1","2"],"items":[{{"data":{}}}]}}"#,
        numbers(n)
    );
    post("/api/compare", body)
}

fn pin(n: usize) -> Request<Body> {
    let mut request = post(
        "/api/models/numbers/default",
        format!("{{\"version\":\"1\"}}{}", " ".repeat(n)),
    );
    *request.method_mut() = http::Method::PUT;
    request
}

fn message(n: usize) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "numbers".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::try_from(n).unwrap()],
            contents: Some(InferTensorContents {
                fp32_contents: vec![1.0; n],
                ..InferTensorContents::default()
            }),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::new();
    GzipEncoder::new(bytes)
        .read_to_end(&mut deflated)
        .await
        .unwrap();
    deflated
}

fn unary(n: usize) -> Request<Body> {
    grpc::post("ModelInfer", framed(0, &message(n).encode_to_vec()))
}

async fn unary_in_gzip(n: usize) -> Request<Body> {
    let compressed = gzip(&message(n).encode_to_vec()).await;
    let mut request = grpc::post("ModelInfer", framed(1, &compressed));
    request
        .headers_mut()
        .insert("grpc-encoding", "gzip".parse().unwrap());
    request
}

fn grpc_stream(n: usize) -> Request<Body> {
    grpc::post("ModelStreamInfer", framed(0, &message(n).encode_to_vec()))
}

/// The bytes of the reply, and the number of large conversions until its end.
async fn send(ctx: &Arc<Context>, request: Request<Body>) -> (Bytes, usize) {
    let call = async {
        let response = grpc::answer(ctx, request).await;
        response.into_body().collect().await.unwrap().to_bytes()
    };
    large_conversions(call).await
}

#[tokio::test]
async fn large_conversions_of_every_protocol_are_handed_over_and_no_small_one() {
    let ctx = context();
    const LARGE: usize = INLINE_BYTES;
    type Case = (&'static str, fn(usize) -> Request<Body>, usize);
    let cases: [Case; 11] = [
        ("predict", predict, 2),
        ("predict, compressed reply", predict_for_gzip, 3),
        ("predict/batch", batch, 1),
        ("v2 JSON", infer_json, 2),
        ("v2 binary", infer_binary, 1),
        ("v2 binary texts", infer_texts, 2),
        ("feedback", feedback, 1),
        ("compare", compare, 3),
        ("admin body", pin, 1),
        ("gRPC", unary, 3),
        ("gRPC stream", grpc_stream, 4),
    ];
    let mut wrong = Vec::new();
    for (name, request, n_large) in cases {
        let (_, n_small) = send(&ctx, request(10)).await;
        let (reply, n_found) = send(&ctx, request(LARGE)).await;
        if n_small > 0 || n_found < n_large {
            wrong.push((name, n_small, n_found, reply.slice(..reply.len().min(200))));
        }
    }
    for (name, n_large, small, large) in [
        (
            "gzip",
            3,
            predict_in_gzip(10).await,
            predict_in_gzip(LARGE).await,
        ),
        (
            "gRPC, gzip",
            4,
            unary_in_gzip(10).await,
            unary_in_gzip(LARGE).await,
        ),
    ] {
        let (_, n_small) = send(&ctx, small).await;
        let (reply, n_found) = send(&ctx, large).await;
        if n_small > 0 || n_found < n_large {
            wrong.push((name, n_small, n_found, reply.slice(..reply.len().min(200))));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
