//! Refusals of calls that no handler gets to see.
//!
//! Rule: a refusal is written, counted and logged like every other error of the dialect.

use std::sync::Arc;

use axum::body::Body;
use contract::Error;
use futures_util::future::BoxFuture;
use http::{Request, Response};

use super::dialects::DialectId;
use super::fallback::is_grpc;
use crate::admin::Admin;
use crate::context::Context;
use crate::documentation::Documentation;
use crate::native::Native;
use crate::open_inference::grpc;
use crate::open_inference::rest::OpenInference;
use crate::rest::{self, RequestBody};

/// Writes refusals, with the context in which they are counted.
#[derive(Clone, Debug)]
pub(super) struct Refuser(pub(super) Arc<Context>);

impl Refuser {
    /// Replies with an error, in the form that the caller can read.
    pub(super) fn refuse<B: RequestBody>(
        &self,
        request: Request<B>,
        error: Error,
    ) -> BoxFuture<'static, Response<Body>> {
        let ctx = Arc::clone(&self.0);
        if is_grpc(request.headers()) {
            return Box::pin(grpc::refuse(ctx, request, error));
        }
        match DialectId::of_path(request.uri().path()) {
            DialectId::OpenInference => {
                Box::pin(rest::refuse::<OpenInference, _>(ctx, request, error))
            }
            DialectId::Admin => Box::pin(rest::refuse::<Admin, _>(ctx, request, error)),
            DialectId::Documentation => {
                Box::pin(rest::refuse::<Documentation, _>(ctx, request, error))
            }
            DialectId::Native | DialectId::Grpc | DialectId::Metrics | DialectId::Health => {
                Box::pin(rest::refuse::<Native, _>(ctx, request, error))
            }
        }
    }
}
