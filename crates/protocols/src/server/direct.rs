//! Inference calls that go around the router.
//!
//! Decision: the router serves every path, these too. But the few paths of inference carry nearly
//! all calls, and finding them by hand saves the router's boxes and maps, so a listener looks here
//! first. A path that needs percent-decoding is left to the router.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response};
use smallvec::SmallVec;

use crate::context::Context;
use crate::native::{self, Native};
use crate::open_inference::rest::{self as open_inference, OpenInference};
use crate::rest::{self, Incoming, PathParameters};

/// The most segments of a path of inference.
const MAX_SEGMENTS: usize = 6;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// `/predict` and its longer forms.
    Predict,
    /// `/v2/models/{model}/infer`, with and without a version.
    Infer,
}

/// A call of inference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Direct {
    target: Target,
    path: PathParameters,
}

/// The call of inference that `method` and `path` name; `None` leaves them to the router.
pub(super) fn find(method: &Method, path: &str) -> Option<Direct> {
    if method != Method::POST || path.contains('%') {
        return None;
    }
    let segments = path.strip_prefix('/')?.split('/').take(MAX_SEGMENTS + 1);
    let segments: SmallVec<[&str; MAX_SEGMENTS + 1]> = segments.collect();
    let (target, model, version) = match segments[..] {
        ["predict"] | ["v1", "predict"] => (Target::Predict, None, None),
        ["models", model, "predict"] => (Target::Predict, Some(model), None),
        ["models", model, "versions", version, "predict"] => {
            (Target::Predict, Some(model), Some(version))
        }
        ["v2", "models", model, "infer"] => (Target::Infer, Some(model), None),
        ["v2", "models", model, "versions", version, "infer"] => {
            (Target::Infer, Some(model), Some(version))
        }
        _ => return None,
    };
    let mut path = PathParameters::new();
    for (name, value) in [("model", model), ("version", version)] {
        match value {
            None => {}
            Some("") => return None,
            Some(value) => path.push((Cow::Borrowed(name), value.to_owned())),
        }
    }
    Some(Direct { target, path })
}

/// Answers a call with the handler that the router has for it.
pub(super) async fn answer<B: Incoming>(
    ctx: Arc<Context>,
    direct: Direct,
    request: Request<B>,
) -> Response<Body> {
    let Direct { target, path } = direct;
    match target {
        Target::Predict => {
            rest::answer::<Native, _, _, _>(ctx, request, path, native::predict).await
        }
        Target::Infer => {
            rest::answer::<OpenInference, _, _, _>(ctx, request, path, open_inference::infer).await
        }
    }
}

#[cfg(test)]
mod tests;
