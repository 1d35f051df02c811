//! Sends bytes to one route of the real router, in front of a server that repeats its inputs.
//!
//! Decision: the whole route is fuzzed and not the decoder alone, so that what is found is what a
//! client can do, and the decoders stay private.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use contract::testing::{EchoServer, RecordingObserver, model_info};
use contract::{
    Dimension, ElementType, ImageChannels, ImageInput, ImageLayout, ImageResize, ModelInfo,
    Signature, TensorSpec,
};
use http::Request;
use http_body_util::BodyExt;
use protocols::{Context, Limits, ListenerKind, ServerInfo};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

static SERVER: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let router = runtime.block_on(async { router() });
    (runtime, router)
});

/// Posts `body` to `path` and checks that it is answered without blaming the server.
///
/// # Panics
/// When the status is a 5xx other than "not offered".
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let (runtime, router) = &*SERVER;
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_vec())).expect("legal headers");
    runtime.block_on(async {
        let reply = router.clone().oneshot(request).await.expect("the router cannot fail");
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.map(|body| body.to_bytes());
        assert!(status < 500 || status == 501, "{status}: {body:?}");
    });
}

fn router() -> Router {
    let models = ElementType::ALL.map(|element_type| model(element_type.name(), element_type));
    let server = Arc::new(EchoServer::new(models.into_iter().chain([image_model()])));
    let context = Context {
        infer: Arc::clone(&server) as _,
        control: server,
        observe: Arc::new(RecordingObserver::default()),
        limits: Limits { body_bytes: 1 << 20, image_pixels: 1 << 16, ..Limits::default() },
        server: ServerInfo {
            version: "0".to_owned(),
            is_gpu_available: false,
            is_control_enabled: false,
            is_strict_json: false,
        },
    };
    protocols::router(&Arc::new(context), ListenerKind::All)
}

fn model(name: &str, element_type: ElementType) -> ModelInfo {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: vec![Dimension::Dynamic, Dimension::Dynamic],
        is_optional: false,
    };
    model_info(name, "1", Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] })
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
    let signature = Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] };
    let image = ImageInput {
        resize: ImageResize::ShorterSide(8),
        crop: Some((8, 8)),
        channels: ImageChannels::Rgb,
        layout: ImageLayout::Nchw,
        scale: 1.0 / 255.0,
        mean: vec![0.5],
        std: vec![0.5],
    };
    ModelInfo { image: Some(image), ..model_info("image", "1", signature) }
}
