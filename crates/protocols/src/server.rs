//! Listeners, limits, time-outs and the drain: everything that dialects share below their routes.
//!
//! Decision: the accept loop is ours, because the time-outs, the HTTP/2 windows and a drain that
//! loses no accepted request need control of each connection. HTTP/1.1 and HTTP/2 without TLS share
//! one port, so gRPC and REST may, too.

mod activity;
mod connection;
mod fallback;
mod fast_path;
mod listener;
mod metrics;
mod options;
mod phase;
mod service;

use std::sync::Arc;

use axum::Router;

pub use listener::{ListenerHandle, serve};
pub use options::ServeOptions;

use fast_path::FastPath;

use crate::context::Context;
use crate::{admin, documentation, native, open_inference};

/// The services of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Every dialect, REST and gRPC, and the metrics.
    All,
    /// gRPC alone.
    Grpc,
    /// The metrics and the health, nothing that accepts work.
    Metrics,
}

/// The handlers behind a listener.
#[derive(Clone, Debug)]
pub struct Endpoint {
    router: Router,
    /// Handles inference calls before the router.
    fast_path: Option<FastPath>,
}

impl From<Router> for Endpoint {
    fn from(router: Router) -> Self {
        Self {
            router,
            fast_path: None,
        }
    }
}

/// Builds the handlers for one kind of listener.
pub fn endpoint(ctx: &Arc<Context>, kind: ListenerKind) -> Endpoint {
    Endpoint {
        router: router(ctx, kind),
        fast_path: FastPath::new(ctx, kind),
    }
}

/// Returns the routes of one kind of listener, with a reply for every other path and method.
pub fn router(ctx: &Arc<Context>, kind: ListenerKind) -> Router {
    let routes = match kind {
        ListenerKind::All => native::routes(ctx)
            .merge(admin::routes(ctx))
            .merge(open_inference::rest::routes(ctx))
            .merge(open_inference::grpc::routes(ctx))
            .merge(documentation::routes(ctx))
            .merge(metrics::routes(ctx)),
        ListenerKind::Grpc => open_inference::grpc::routes(ctx),
        ListenerKind::Metrics => metrics::routes(ctx).merge(native::checks(ctx)),
    };
    fallback::with_fallback(routes, ctx)
}

#[cfg(test)]
mod tests;
