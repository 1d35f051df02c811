//! Calls over gRPC for the tests of this crate.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use tower::ServiceExt;

use crate::context::Context;
use crate::open_inference::grpc::GrpcInference;
use crate::server::{Dialects, router};

/// Puts the prefix of gRPC before a message; the flag is 1 for a compressed one.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

/// Returns a call of the inference service.
pub(crate) fn post(method: &str, framed: Vec<u8>) -> Request<Body> {
    Request::post(format!("/inference.GRPCInferenceService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::from(framed))
        .unwrap()
}

/// Answers a request of any dialect as a connection does.
pub(crate) async fn answer(ctx: &Arc<Context>, request: Request<Body>) -> Response<Body> {
    match request.uri().path().ends_with("/ModelInfer") {
        true => GrpcInference::new(ctx).model_infer(request).await,
        false => router(ctx, Dialects::ALL).oneshot(request).await.unwrap(),
    }
}
