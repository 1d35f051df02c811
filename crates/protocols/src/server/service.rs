//! One call on a connection: counted, told to close while draining, and unable to take the
//! connection down.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use contract::Error;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::Service;

use super::activity::{Activity, InFlight};
use super::listener::Phase;
use super::{Endpoint, direct, fallback};
use crate::rest::new_request_id;

/// Hands the calls of one connection to the endpoint.
#[derive(Clone, Debug)]
pub(super) struct Calls(pub(super) Arc<Parts>);

/// What the calls of one connection need.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) endpoint: Endpoint,
    pub(super) activity: Arc<Activity>,
    /// Never asked to wait, so that every change of phase stays news to it.
    pub(super) phase: watch::Receiver<Phase>,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Reply>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        let call = parts.activity.begin_call();
        Box::pin(async move {
            let version = request.version();
            let mut response = answer(&parts.endpoint, request).await;
            // The first phase is `Serving`; a handle that is gone drains as well.
            let is_draining = parts.phase.has_changed().unwrap_or(true);
            if version < Version::HTTP_2 && is_draining {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response.map(|body| Reply { body, _call: call }))
        })
    }
}

async fn answer(endpoint: &Endpoint, request: Request<Incoming>) -> Response<Body> {
    let is_grpc = is_grpc(request.headers());
    let uri = request.uri().clone();
    let run = AssertUnwindSafe(dispatch(endpoint, request));
    match run.catch_unwind().await {
        Ok(response) => response,
        Err(_) => panicked(is_grpc, uri.path()),
    }
}

async fn dispatch(endpoint: &Endpoint, request: Request<Incoming>) -> Response<Body> {
    if let Some(ctx) = &endpoint.direct
        && let Some(call) = direct::find(request.method(), request.uri().path())
    {
        return direct::answer(Arc::clone(ctx), call, request).await;
    }
    match endpoint.router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The body of a reply, which keeps its call in flight until hyper drops it.
#[derive(Debug)]
pub(super) struct Reply {
    body: Body,
    _call: InFlight,
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
    let id = new_request_id();
    tracing::error!(%id, path, "a call panicked outside of the frame");
    match is_grpc {
        true => fallback::grpc_error(&error),
        false => fallback::rest_error(path, &error, &id),
    }
}
