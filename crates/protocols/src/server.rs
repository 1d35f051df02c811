//! Listeners, limits, time-outs and the drain: everything that dialects share below their routes.
//!
//! Decision: the accept loop is ours, because the time-outs, the HTTP/2 windows and a drain that
//! loses no accepted request need control of each connection. HTTP/1.1 and HTTP/2 without TLS share
//! one port, so gRPC and REST may, too.

mod activity;
mod connection;
mod cors;
mod dialects;
mod fallback;
mod fast_path;
mod guard;
mod listener;
mod metrics;
mod options;
mod refuser;
mod service;
mod stalled_stream;

use std::sync::Arc;

use axum::Router;

pub use cors::Cors;
pub use dialects::{DialectId, Dialects};
pub use guard::{CallHead, Guard, Peer};
pub use listener::{ListenerHandle, serve};
pub use options::ServeOptions;

use fast_path::FastPath;
use guard::GuardLayer;
use refuser::Refuser;

use crate::context::Context;

/// The handlers behind a listener.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The origins whose pages may call; every reply says so to their browsers.
    cors: Option<Cors>,
    /// Writes the refusals of calls that no handler gets to see.
    refuser: Option<Refuser>,
    /// Decides on every call before all others.
    guard: Option<GuardLayer>,
    router: Router,
    /// Handles inference calls before the router.
    fast_path: Option<FastPath>,
}

impl From<Router> for Endpoint {
    fn from(router: Router) -> Self {
        Self {
            cors: None,
            refuser: None,
            guard: None,
            router,
            fast_path: None,
        }
    }
}

impl Endpoint {
    /// Lets the pages of other origins call this endpoint.
    #[must_use]
    pub fn with_cors(self, cors: Option<Cors>) -> Self {
        Self { cors, ..self }
    }
}

/// Builds the handlers of a listener with these dialects, behind a guard if there is one.
pub fn endpoint(ctx: &Arc<Context>, dialects: Dialects, guard: Option<Arc<dyn Guard>>) -> Endpoint {
    Endpoint {
        cors: None,
        refuser: Some(Refuser(Arc::clone(ctx))),
        guard: guard.map(GuardLayer),
        router: router(ctx, dialects),
        fast_path: FastPath::new(ctx, dialects),
    }
}

/// Returns the routes of these dialects, with a reply for every other path and method.
pub fn router(ctx: &Arc<Context>, dialects: Dialects) -> Router {
    fallback::with_fallback(dialects.routes(ctx), ctx)
}

#[cfg(test)]
mod tests;
