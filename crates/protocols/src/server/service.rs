//! One call on a connection: counted, told to close while draining, and unable to take the
//! connection down.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use contract::Error;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::Service;

use super::activity::Activity;
use super::fallback;
use super::listener::Phase;

/// Hands the calls of one connection to the router.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) router: Router,
    pub(super) activity: Arc<Activity>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let call = self.activity.begin_call();
        let (mut router, phase) = (self.router.clone(), self.phase.clone());
        Box::pin(async move {
            let version = request.version();
            let is_grpc = is_grpc(request.headers());
            let uri = request.uri().clone();
            let run = AssertUnwindSafe(async move { router.call(request).await });
            let mut response = match run.catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => panicked(is_grpc, uri.path()),
            };
            if version < Version::HTTP_2 && *phase.borrow() != Phase::Serving {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            drop(call);
            Ok(response)
        })
    }
}

/// Whether the headers are those of a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The REST frame catches the panics of its handlers; what comes here is outside of it.
fn panicked(is_grpc: bool, path: &str) -> Response<Body> {
    let error = Error::internal("a call panicked outside of the frame");
    tracing::error!(path, "a call panicked outside of the frame");
    match is_grpc {
        true => fallback::grpc_error(&error),
        false => fallback::rest_error(path, &error),
    }
}
