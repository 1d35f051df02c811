//! `Infer`: the way from a decoded request to an answer.
//!
//! Decision: routing is a step of its own, before the tensors are decoded. A dialect without
//! element types on the wire (the simple JSON API) needs the signature to decode, and a request
//! that was routed keeps its version until it is answered, whatever happens to the repository.

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
use crate::response::{InferResponse, ServedBy};

/// A boxed future, so that the traits stay object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The model; `None` is allowed while exactly one model is served.
    pub model: Option<ModelName>,
    /// The version.
    pub version: VersionSelector,
}

/// How urgent a request is, as far as that is known before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// When its answer is worth nothing any more; what is not read yet may only tell an earlier time.
    pub deadline: Instant,
    /// Its priority; `None` while what is not read yet may tell any.
    pub priority: Option<u32>,
}

/// What may be asked about the caller of a request, to assign it to an arm of a split.
///
/// Nothing is read before it is asked for, so that a request without a split pays nothing.
pub trait AssignmentAttributes {
    /// The value of a header, or of the metadata of gRPC.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;

    /// The value of a cookie.
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>>;

    /// The text, or the integer as decimal text, under a key of the body, or else of the query.
    /// Dots lead from one level of the body to the next.
    fn field(&self, path: &str) -> Option<Cow<'_, str>>;
}

/// The version that a request will run on, held until the request is answered.
#[derive(Clone)]
pub struct Route {
    /// What decoding and validation need to know about the version.
    pub info: SharedModelInfo,
    /// What the reply says about who answered.
    pub served_by: ServedBy,
    /// What the implementation of [`Infer`] keeps for itself.
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
    /// version. Cheap, and does not wait. Without splits, which is the default, it is the same.
    ///
    /// # Errors
    /// Those of [`Infer::route`], and `invalid_request` when the caller forces an arm that is none.
    fn route_for(&self, target: &Target, _attributes: &dyn AssignmentAttributes) -> Result<Route> {
        self.route(target)
    }

    /// Refuses a request that is not decoded yet, where any request with what is known of it, however
    /// small, would be refused now. Called by the protocol servers, maybe more than once, before they
    /// read a body or its tensors. Counts the refusal; whatever is not refused here comes through
    /// [`Infer::infer`], which may refuse it too. By default nothing is refused.
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
    /// Everything that can go wrong from validation to the split of the batch; see
    /// [`Code`](crate::Code).
    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>>;
}
