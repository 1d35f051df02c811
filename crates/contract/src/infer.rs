//! `Infer`: the way from a decoded request to an answer.
//!
//! Decision: routing is a separate step, before the tensors are decoded. A dialect without element
//! types on the wire (the simple JSON API) needs the signature to decode, and a request that was
//! routed keeps its version until it is answered, whatever happens to the repository.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::model::{ModelName, SharedModelInfo, VersionSelector};
use crate::request::InferRequest;
use crate::response::InferResponse;
use crate::served_by::ServedBy;

/// A boxed future, so that the traits stay object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The model and version that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The model; `None` is allowed while exactly one model is served.
    pub model: Option<ModelName>,
    /// The version.
    pub version: VersionSelector,
}

/// Urgency of a request, as far as it is known before the request is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// The deadline so far; the unread part of the request can only give an earlier one.
    pub deadline: Instant,
    /// Its priority; `None` while the unread part of the request may give any.
    pub priority: Option<u32>,
}

/// Attributes of a request by which a split assigns it to an arm.
///
/// Attributes are read only when they are needed, so that a request without a split pays nothing.
pub trait AssignmentAttributes {
    /// Returns the value of a header, or of a gRPC metadata key.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Returns the value of a cookie.
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Returns the text, or the integer as decimal text, under a key of the body, or else of the
    /// query. Dots separate the levels of the body.
    fn field(&self, path: &str) -> Option<Cow<'_, str>>;
}

/// The version that a request will run on, held until the request is answered.
#[derive(Clone)]
pub struct Route {
    /// The description of the version, for decoding and validation.
    pub info: SharedModelInfo,
    /// The model, version and arm that the reply names.
    pub served_by: ServedBy,
    /// Private data of the implementation of [`Infer`].
    pub handle: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("model", &self.info.model)
            .field("version", &self.info.version)
            .finish_non_exhaustive()
    }
}

/// Runs inferences. Called by the protocol servers, by the warm-up and by load generators; may be
/// called from many tasks at once.
pub trait Infer: Send + Sync + fmt::Debug {
    /// Picks the version for a target by name alone, as if there were no split. Cheap, and does not
    /// wait.
    ///
    /// # Errors
    /// `model_not_found`, `version_not_found`, `model_not_ready`, `unavailable`, and
    /// `invalid_request` when no model is named and several are served.
    fn route(&self, target: &Target) -> Result<Route>;

    /// Picks the version for the request of a caller: a split decides where the target names no
    /// version. Cheap, and does not wait. Without splits, which is the default, it equals
    /// [`Infer::route`].
    ///
    /// # Errors
    /// Those of [`Infer::route`], and `invalid_request` when the caller forces an unknown arm.
    fn route_for(&self, target: &Target, _attributes: &dyn AssignmentAttributes) -> Result<Route> {
        self.route(target)
    }

    /// Refuses a request before it is decoded, when even the smallest request of this target and
    /// urgency would be refused now. Called by the protocol servers, maybe more than once, before
    /// they read a body or its tensors. Counts the refusal; a request that is not refused here goes
    /// to [`Infer::infer`], which may refuse it too. By default nothing is refused.
    ///
    /// # Errors
    /// `overloaded`, with the predicted wait.
    fn refuse_early(&self, _target: &Target, _urgency: Urgency) -> Result<()> {
        Ok(())
    }

    /// Validates, admits and runs a request on the version of `route`, which must come from the
    /// same object. Dropping the future cancels the request.
    ///
    /// # Errors
    /// Every failure from validation to the split of the batch; see [`Code`](crate::Code).
    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>>;
}
