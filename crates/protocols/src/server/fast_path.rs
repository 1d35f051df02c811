//! Inference calls that bypass the router.
//!
//! Decision: the router serves every path, including these. But the few paths of inference carry
//! nearly all calls, and matching them by hand saves the router's boxes and maps, so a listener
//! tries this first. A path that needs percent-decoding is left to the router.

use std::borrow::Cow;
use std::sync::Arc;

use axum::BoxError;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use smallvec::SmallVec;

use super::{DialectId, Dialects};
use crate::context::Context;
use crate::native::{self, Native};
use crate::open_inference::grpc::GrpcInference;
use crate::open_inference::rest::{self as open_inference, OpenInference};
use crate::rest::{self, PathParameters, RequestBody};

/// The most segments of an inference path.
const MAX_SEGMENTS: usize = 6;

/// The path of `ModelInfer` over gRPC.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// The route of an inference call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InferenceRoute {
    /// `/predict` and its longer forms.
    Predict(PathParameters),
    /// `/v2/models/{model}/infer`, with and without a version.
    Infer(PathParameters),
    /// `ModelInfer` of gRPC.
    ModelInfer,
}

impl InferenceRoute {
    fn dialect(&self) -> DialectId {
        match self {
            Self::Predict(_) => DialectId::Native,
            Self::Infer(_) => DialectId::OpenInference,
            Self::ModelInfer => DialectId::Grpc,
        }
    }
}

/// The handler of inference calls.
#[derive(Clone, Debug)]
pub(super) struct FastPath {
    ctx: Arc<Context>,
    grpc: GrpcInference,
    dialects: Dialects,
}

impl FastPath {
    /// Returns the fast path of a listener; `None` when it serves no inference.
    pub(super) fn new(ctx: &Arc<Context>, dialects: Dialects) -> Option<Self> {
        let with_inference = [DialectId::Native, DialectId::OpenInference, DialectId::Grpc];
        let has_inference = with_inference.into_iter().any(|id| dialects.contains(id));
        has_inference.then(|| Self {
            ctx: Arc::clone(ctx),
            grpc: GrpcInference::new(ctx),
            dialects,
        })
    }

    /// Returns the route for `method` and `path`; `None` leaves them to the router.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<InferenceRoute> {
        find(method, path).filter(|target| self.dialects.contains(target.dialect()))
    }

    /// Handles an inference call with the same handler as the router.
    pub(super) fn call<B: RequestBody>(
        &self,
        target: InferenceRoute,
        request: Request<B>,
    ) -> BoxFuture<'static, Response<Body>>
    where
        B::Error: Into<BoxError>,
    {
        let ctx = Arc::clone(&self.ctx);
        match target {
            InferenceRoute::Predict(path) => {
                rest::call::<Native, _, _, _>(ctx, request, Some(path), native::predict)
            }
            InferenceRoute::Infer(path) => rest::call::<OpenInference, _, _, _>(
                ctx,
                request,
                Some(path),
                open_inference::infer,
            ),
            InferenceRoute::ModelInfer => self.grpc.model_infer(request),
        }
    }
}

/// Returns the route for `method` and `path`, on any listener.
fn find(method: &Method, path: &str) -> Option<InferenceRoute> {
    if method != Method::POST || path.contains('%') {
        return None;
    }
    if path == MODEL_INFER {
        return Some(InferenceRoute::ModelInfer);
    }
    let segments = path.strip_prefix('/')?.split('/').take(MAX_SEGMENTS + 1);
    let segments: SmallVec<[&str; MAX_SEGMENTS + 1]> = segments.collect();
    match segments[..] {
        ["predict"] | ["v1", "predict"] => Some(InferenceRoute::Predict(PathParameters::new())),
        ["models", model, "predict"] => parameters(model, None).map(InferenceRoute::Predict),
        ["models", model, "versions", version, "predict"] => {
            parameters(model, Some(version)).map(InferenceRoute::Predict)
        }
        ["v2", "models", model, "infer"] => parameters(model, None).map(InferenceRoute::Infer),
        ["v2", "models", model, "versions", version, "infer"] => {
            parameters(model, Some(version)).map(InferenceRoute::Infer)
        }
        _ => None,
    }
}

/// Returns the parameters of a path; `None` when one is empty, which is invalid.
fn parameters(model: &str, version: Option<&str>) -> Option<PathParameters> {
    let mut path = PathParameters::new();
    for (name, value) in [("model", Some(model)), ("version", version)] {
        match value {
            None => {}
            Some("") => return None,
            Some(value) => path.push((Cow::Borrowed(name), value.to_owned())),
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests;
