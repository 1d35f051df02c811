//! Sends bytes to one route of the real router, in front of a server that repeats its inputs.
//!
//! Decision: the whole route is fuzzed and not the decoder alone, so that a client can reproduce
//! each finding, and the decoders stay private. Every reply is checked: it must not report a
//! failure of the server, and must be strict JSON if its content type is JSON.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, Bytes};
use contract::testing::{EchoServer, model_info};
use contract::{
    Dimension, ElementType, Event, Exposition, ImageChannels, ImageInput, ImageLayout, ImageResize,
    ModelInfo, Observe, Signature, TensorSpec,
};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use protocols::{Context, Dialects, Limits, MemoryBudgets, ServerInfo};
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

static SERVER: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let router = runtime.block_on(async { router() });
    (runtime, router)
});

/// The gRPC statuses that report a failure of the server: unknown, internal and data loss.
const GRPC_SERVER_ERRORS: [&str; 3] = ["2", "13", "15"];

/// The most rows of a batch, above 1 so that replies of several rows are tested too.
const MAX_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(16).expect("more than 0");

/// Posts `body` to `path`; returns status and body of the reply.
///
/// # Panics
/// When the reply reports a failure of the server, or is not the JSON that its content type
/// promises.
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> (StatusCode, Bytes) {
    let (runtime, router) = &*SERVER;
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::from(body.to_vec()))
        .expect("legal headers");
    runtime.block_on(async {
        let reply = router
            .clone()
            .oneshot(request)
            .await
            .expect("the router cannot fail");
        let (head, body) = reply.into_parts();
        let body = body.collect().await.expect("the whole reply");
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        check(head.status, &head.headers, &trailers, &body);
        (head.status, body)
    })
}

fn check(status: StatusCode, headers: &HeaderMap, trailers: &HeaderMap, body: &Bytes) {
    let is_blame = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    assert!(!is_blame, "{status}: {body:?}");
    for fields in [headers, trailers] {
        let is_blame = fields
            .get("grpc-status")
            .is_some_and(|status| GRPC_SERVER_ERRORS.iter().any(|blame| status == blame));
        assert!(!is_blame, "{fields:?}");
    }
    let is_json = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/json");
    if headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        let read = serde_json::from_slice::<IgnoredAny>(body);
        assert!(read.is_ok(), "{read:?}: {body:?}");
    }
}

/// Discards every event, so that growing memory is a finding.
#[derive(Debug)]
struct DiscardingObserver;

impl Observe for DiscardingObserver {
    fn observe(&self, _: &Event<'_>) {}

    fn exposition(&self) -> Exposition {
        Exposition {
            content_type: "text/plain",
            body: String::new(),
        }
    }
}

fn router() -> Router {
    let models = ElementType::ALL.map(|element_type| model(element_type.name(), element_type));
    let server = Arc::new(EchoServer::new(models.into_iter().chain([image_model()])));
    let context = Context {
        infer: Arc::clone(&server) as _,
        catalog: Arc::clone(&server) as _,
        lifecycle: Arc::clone(&server) as _,
        traffic: Arc::clone(&server) as _,
        recorder: Arc::clone(&server) as _,
        feedback: server,
        rollouts: None,
        observe: Arc::new(DiscardingObserver),
        limits: Limits {
            body_bytes: 1 << 20,
            image_pixels: 1 << 16,
            ..Limits::default()
        },
        memory: MemoryBudgets::new(&Limits::default()),
        server: ServerInfo {
            version: "0".to_owned(),
            is_gpu_available: false,
            is_control_enabled: false,
            is_strict_json: true,
        },
    };
    protocols::router(&Arc::new(context), Dialects::ALL)
}

fn model(name: &str, element_type: ElementType) -> ModelInfo {
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
    ModelInfo {
        max_request_rows: Some(MAX_BATCH_SIZE),
        max_batch_rows: Some(MAX_BATCH_SIZE),
        ..model_info(name, "1", signature)
    }
}

fn image_model() -> ModelInfo {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![
            Dimension::Dynamic,
            Dimension::Fixed(3),
            Dimension::Fixed(8),
            Dimension::Fixed(8),
        ],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
    };
    let image = ImageInput {
        resize: ImageResize::ShorterSide(8),
        crop: Some((8, 8)),
        channels: ImageChannels::Rgb,
        layout: ImageLayout::Nchw,
        scale: 1.0 / 255.0,
        mean: vec![0.5],
        std: vec![0.5],
    };
    ModelInfo {
        image: Some(image),
        ..model_info("image", "1", signature)
    }
}
