//! Whole requests and replies of the REST side, against a server that repeats its inputs.

mod binary;
mod errors;
mod infer;
mod metadata;
mod random;
mod repository;

use std::fmt::Write;
use std::num::NonZeroUsize;

use axum::http::Method;
use bytes::Bytes;
use contract::testing::{EchoServer, model_info};
use contract::{Dimension, ElementType, Infer, ModelInfo, Signature, TensorSpec};
use http::HeaderMap;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::context::{Limits, ServerInfo};
use crate::open_inference::binary::HEADER_LENGTH;

/// Any size, in the shorthand of [`spec`].
const ANY: usize = usize::MAX;

fn spec(name: &str, element_type: ElementType, dims: &[usize]) -> TensorSpec {
    let dimension = |&dim: &usize| match dim {
        ANY => Dimension::Dynamic,
        size => Dimension::Fixed(size),
    };
    TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.iter().map(dimension).collect(),
        is_optional: false,
    }
}

/// A model whose output `i` repeats input `i`; requests of 0 rows mean that it does not batch.
fn model_of(
    name: &str,
    version: &str,
    max_request_rows: usize,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
) -> ModelInfo {
    let mut info = model_info(name, version, Signature { inputs, outputs });
    info.max_request_rows = NonZeroUsize::new(max_request_rows);
    info.max_batch_rows = NonZeroUsize::new(max_request_rows.div_ceil(2));
    info.is_batching = max_request_rows > 0;
    info
}

/// Two versions of `m`, the model of the example in the protocol; `scores`, which has labels; and
/// `types`, which takes every element type.
fn models() -> Vec<ModelInfo> {
    let m = |version| {
        let numbers = |name| spec(name, ElementType::F32, &[ANY, 2]);
        let strings = |name| spec(name, ElementType::Bytes, &[ANY]);
        model_of(
            "m",
            version,
            8,
            vec![numbers("INPUT0"), strings("INPUT1")],
            vec![numbers("OUTPUT0"), strings("OUTPUT1")],
        )
    };
    let scores = |name| vec![spec(name, ElementType::F32, &[ANY, ANY])];
    let mut scores = model_of("scores", "1", 8, scores("x"), scores("y"));
    scores.labels = vec!["cat".to_owned(), "dog".to_owned()];
    let types = |prefix: &str| {
        let name = |element_type: ElementType| format!("{prefix}{element_type}");
        let spec = |element_type| TensorSpec {
            is_optional: true,
            ..spec(&name(element_type), element_type, &[ANY])
        };
        ElementType::ALL.into_iter().map(spec).collect()
    };
    let types = model_of("types", "1", 0, types("in-"), types("out-"));
    vec![m("1"), m("3"), scores, types]
}

fn context_of(server: EchoServer) -> Context {
    Context {
        server: ServerInfo {
            version: "1.2.3".to_owned(),
            is_gpu_available: false,
            is_control_enabled: true,
            is_strict_json: false,
        },
        ..Context::of(&Arc::new(server))
    }
}

/// Everything that a listener answers.
fn served(ctx: Context) -> Router {
    crate::server::router(&Arc::new(ctx), crate::server::Dialects::ALL)
}

/// A server of [`models`].
fn echo() -> Router {
    served(context_of(EchoServer::new(models())))
}

/// A request.
#[derive(Clone, Debug)]
struct TestRequest {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

fn get(path: &str) -> TestRequest {
    TestRequest {
        method: Method::GET,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

fn post(path: &str, body: impl Into<Bytes>) -> TestRequest {
    TestRequest {
        method: Method::POST,
        body: body.into(),
        ..get(path)
    }
}

/// A request with `blobs` behind its JSON.
fn post_binary(path: &str, json: &str, blobs: &[u8]) -> TestRequest {
    let body = [json.as_bytes(), blobs].concat();
    post(path, body).with("Inference-Header-Content-Length", &json.len().to_string())
}

impl TestRequest {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Returns the reply of `router`.
    fn answer(&self, router: &Router) -> TestResponse {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header("x-request-id", "test");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(self.body.clone())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            TestResponse {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
            }
        })
    }

    /// The request and its answer as text.
    fn exchange(&self, router: &Router) -> String {
        let answer = self.answer(router);
        let mut text = format!("> {} {}\n", self.method, self.path);
        for (name, value) in &self.headers {
            writeln!(text, "> {name}: {value}").unwrap();
        }
        let length = |headers: &mut dyn Iterator<Item = &str>| {
            headers.next().and_then(|value| value.parse().ok())
        };
        let mut headers = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(HEADER_LENGTH.as_str()))
            .map(|(_, value)| value.as_str());
        push_body(&mut text, '>', &self.body, length(&mut headers));
        writeln!(text, "< {}", answer.status).unwrap();
        for name in [
            "content-type",
            HEADER_LENGTH.as_str(),
            "allow",
            "retry-after",
        ] {
            if let Some(value) = answer.header(name) {
                writeln!(text, "< {name}: {value}").unwrap();
            }
        }
        let mut headers = answer.header(HEADER_LENGTH.as_str()).into_iter();
        push_body(&mut text, '<', &answer.body, length(&mut headers));
        text
    }
}

fn push_body(text: &mut String, mark: char, body: &[u8], n_json: Option<usize>) {
    let (json, blobs) = match n_json.filter(|&n_json| n_json <= body.len()) {
        Some(n_json) => body.split_at(n_json),
        None => (body, &[][..]),
    };
    if !json.is_empty() {
        writeln!(text, "{mark} {}", String::from_utf8_lossy(json)).unwrap();
    }
    if !blobs.is_empty() {
        writeln!(text, "{mark} + {}", hex(blobs)).unwrap();
    }
}

/// A reply.
#[derive(Debug)]
struct TestResponse {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl TestResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Requests and answers, one below the other.
fn exchanges(router: &Router, asks: impl IntoIterator<Item = TestRequest>) -> String {
    let texts: Vec<_> = asks.into_iter().map(|ask| ask.exchange(router)).collect();
    texts.join("\n")
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .filter(|digits| *digits != "|")
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}
