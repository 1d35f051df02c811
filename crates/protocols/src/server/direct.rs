//! Inference calls that go around the router.
//!
//! Decision: the router serves every path, these too. But the few paths of inference carry nearly
//! all calls, and finding them by hand saves the router's boxes and maps, so a listener looks here
//! first. A path that needs percent-decoding is left to the router.

use std::borrow::Cow;
use std::sync::Arc;

use axum::BoxError;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use smallvec::SmallVec;

use super::ListenerKind;
use crate::context::Context;
use crate::native::{self, Native};
use crate::open_inference::grpc::GrpcInference;
use crate::open_inference::rest::{self as open_inference, OpenInference};
use crate::rest::{self, Incoming, PathParameters};

/// The most segments of a path of inference.
const MAX_SEGMENTS: usize = 6;

/// The path of inference over gRPC.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// What a call is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/predict` and its longer forms.
    Predict(PathParameters),
    /// `/v2/models/{model}/infer`, with and without a version.
    Infer(PathParameters),
    /// `ModelInfer` of gRPC.
    ModelInfer,
}

/// Answers calls of inference.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    ctx: Arc<Context>,
    grpc: GrpcInference,
    has_rest: bool,
}

impl Direct {
    /// What the listeners of one kind answer so; `None` where it is nothing.
    pub(super) fn new(ctx: &Arc<Context>, kind: ListenerKind) -> Option<Self> {
        let has_rest = match kind {
            ListenerKind::All => true,
            ListenerKind::Grpc => false,
            ListenerKind::Metrics => return None,
        };
        Some(Self {
            ctx: Arc::clone(ctx),
            grpc: GrpcInference::new(ctx),
            has_rest,
        })
    }

    /// The call of inference that `method` and `path` name; `None` leaves them to the router.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Target> {
        find(method, path).filter(|target| self.has_rest || *target == Target::ModelInfer)
    }

    /// Answers a call of inference with what the router has for it.
    pub(super) fn answer<B: Incoming>(
        &self,
        target: Target,
        request: Request<B>,
    ) -> BoxFuture<'static, Response<Body>>
    where
        B::Error: Into<BoxError>,
    {
        let ctx = Arc::clone(&self.ctx);
        match target {
            Target::Predict(path) => {
                rest::answer::<Native, _, _, _>(ctx, request, path, native::predict)
            }
            Target::Infer(path) => {
                rest::answer::<OpenInference, _, _, _>(ctx, request, path, open_inference::infer)
            }
            Target::ModelInfer => self.grpc.answer(request),
        }
    }
}

/// The call of inference that `method` and `path` name, on any listener.
fn find(method: &Method, path: &str) -> Option<Target> {
    if method != Method::POST || path.contains('%') {
        return None;
    }
    if path == MODEL_INFER {
        return Some(Target::ModelInfer);
    }
    let segments = path.strip_prefix('/')?.split('/').take(MAX_SEGMENTS + 1);
    let segments: SmallVec<[&str; MAX_SEGMENTS + 1]> = segments.collect();
    match segments[..] {
        ["predict"] | ["v1", "predict"] => Some(Target::Predict(PathParameters::new())),
        ["models", model, "predict"] => parameters(model, None).map(Target::Predict),
        ["models", model, "versions", version, "predict"] => {
            parameters(model, Some(version)).map(Target::Predict)
        }
        ["v2", "models", model, "infer"] => parameters(model, None).map(Target::Infer),
        ["v2", "models", model, "versions", version, "infer"] => {
            parameters(model, Some(version)).map(Target::Infer)
        }
        _ => None,
    }
}

/// The parameters of a path; `None` when one is empty, which is no parameter.
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
