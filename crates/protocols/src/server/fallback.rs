//! Replies for paths and methods without a route, in the shape that the caller can read.
//!
//! Rule: a gRPC call gets a gRPC status, paths under `/v2` the errors of the Open Inference
//! Protocol, everything else those of the simple JSON API.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use contract::{Code, Error, RequestId};
use http::{HeaderMap, HeaderValue, Request, Response, header};

use super::dialects::DialectId;
use crate::context::Context;
use crate::native::Native;
use crate::open_inference::rest::OpenInference;
use crate::rest;
use crate::rest::Dialect;
use crate::status::{status, unknown_path};

/// Adds to `routes` a reply for every other path, and for every other method of their paths.
pub(super) fn with_fallback(routes: Router, ctx: &Arc<Context>) -> Router {
    let (unknown, wrong) = (Arc::clone(ctx), Arc::clone(ctx));
    routes
        .method_not_allowed_fallback(move |request: Request<Body>| {
            refuse(wrong.clone(), request, wrong_method)
        })
        .fallback(move |request: Request<Body>| {
            refuse(unknown.clone(), request, |request| {
                unknown_path(request.uri().path())
            })
        })
}

async fn refuse(
    ctx: Arc<Context>,
    request: Request<Body>,
    error: fn(&Request<Body>) -> Error,
) -> Response<Body> {
    let error = error(&request);
    if is_grpc(request.headers()) {
        return grpc_error(&error);
    }
    match is_open_inference(request.uri().path()) {
        true => rest::refuse::<OpenInference, _>(ctx, request, error).await,
        false => rest::refuse::<Native, _>(ctx, request, error).await,
    }
}

fn wrong_method(request: &Request<Body>) -> Error {
    let (path, method) = (request.uri().path(), request.method());
    Error::new(
        Code::MethodNotAllowed,
        format!("`{path}` does not allow `{method}`; header `allow` lists the allowed methods"),
    )
}

/// Returns whether the headers are those of a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn is_open_inference(path: &str) -> bool {
    DialectId::of_path(path) == DialectId::OpenInference
}

/// Encodes an error as a gRPC reply without messages.
pub(super) fn grpc_error(error: &Error) -> Response<Body> {
    tonic::Status::new(status(error.code()).grpc, error.message()).into_http()
}

/// Encodes an error as a REST reply, for calls that never had a frame.
pub(super) fn rest_error(path: &str, error: &Error, id: &RequestId) -> Response<Body> {
    let mut response = Response::new(Body::from(rest_error_body(path, error, id)));
    *response.status_mut() = status(error.code()).http;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Returns the body of [`rest_error`].
pub(super) fn rest_error_body(path: &str, error: &Error, id: &RequestId) -> Vec<u8> {
    match is_open_inference(path) {
        true => OpenInference::encode_error(error, id),
        false => Native::encode_error(error, id),
    }
}
