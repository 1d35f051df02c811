//! The REST side of the Open Inference Protocol.
//!
//! Decision: the version in the path is optional everywhere, and may be a label.

mod config;
mod control;
mod counters;
mod decode;
mod encode;
mod infer;
mod metadata;
mod object;
mod raw;
mod settings;
mod unsupported;

use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, post};
use contract::{Error, ModelName, RequestId, Result, VersionSelector};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use serde_json::Value;

use crate::context::Context;
use crate::open_inference::binary::HEADER_LENGTH;
use crate::rest::{Call, Dialect, EarlyAdmission, Head, Reply, handler, open_inference_error};

pub(crate) use decode::read_tensors;
pub(crate) use infer::infer;

/// The dialect of this protocol over REST.
#[derive(Debug)]
pub(crate) struct OpenInference;

impl Dialect for OpenInference {
    const NAME: &'static str = "open_inference";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        open_inference_error(error, id)
    }

    /// Returns the target of the path. Only a body without JSON has no priority of its own.
    fn early_admission(head: &Head<'_>) -> Option<EarlyAdmission> {
        let length = head.headers.get(HEADER_LENGTH);
        Some(EarlyAdmission {
            target: head.path_target()?,
            priority: length.is_some_and(|length| length == "0").then_some(0),
        })
    }
}

/// Returns all routes under `/v2`.
pub(crate) fn routes(ctx: &Arc<Context>) -> Router {
    let infer = post(handler::<OpenInference, _, _>(ctx, infer::infer));
    versioned(Router::new(), "/infer", infer)
        .merge(metadata::routes(ctx))
        .merge(control::routes(ctx))
        .merge(settings::routes(ctx))
        .merge(unsupported::routes(ctx))
}

/// Adds `route` below a model, with and without a version.
fn versioned(router: Router, action: &str, route: MethodRouter) -> Router {
    router
        .route(&format!("/v2/models/{{model}}{action}"), route.clone())
        .route(
            &format!("/v2/models/{{model}}/versions/{{version}}{action}"),
            route,
        )
}

/// Wraps a handler that does not wait.
fn sync_handler(
    ctx: &Arc<Context>,
    run: fn(&Context, &Call) -> Result<Reply>,
) -> impl Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Clone + Send + Sync + 'static {
    handler::<OpenInference, _, _>(ctx, move |ctx, call| ready(run(&ctx, &call)))
}

/// Returns the model and version of the path.
fn target(call: &Call) -> Result<(ModelName, VersionSelector)> {
    Ok((call.required_model()?, call.version()))
}

/// Returns a reply about the server or its models. It is not compressed, because clients exist that
/// offer compression on every call and inflate only answers to inferences.
fn json_reply(value: &Value) -> Reply {
    Reply::json(value.to_string()).uncompressed()
}

#[cfg(test)]
mod tests;
