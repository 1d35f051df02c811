//! One call on a connection: counted, asked to close while draining or when its body is too large,
//! readable for the pages of listed origins, and isolated from the connection when it panics.
//!
//! Rule: HTTP/1.1 asks for exactly one valid `Host` (RFC 9112, section 3.2), so that a proxy and this
//! server cannot read different hosts from one request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use contract::{Code, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::Service;

use super::activity::{Activity, InFlight};
use super::dialects::DialectId;
use super::guard::Peer;
use super::stalled_stream::{self, BodyPoll};
use super::{Endpoint, fallback};
use crate::phase::{ListenerPhase, Phase};
use crate::rest::{StreamingReply, new_request_id};
use crate::status::status;

/// The most that hyper gets at once of a reply over HTTP/2, where it may hold it for as long as the
/// peer likes.
const FRAME_BYTES: usize = 64 << 10;

/// The service that passes the calls of one connection to the endpoint.
#[derive(Clone, Debug)]
pub(super) struct ConnectionService(pub(super) Arc<ConnectionState>);

/// The state shared by the calls of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) endpoint: Endpoint,
    pub(super) peer: Peer,
    pub(super) activity: Arc<Activity>,
    /// Is true for a connection over the limit, which is for health, metrics and operators only.
    pub(super) is_reserved: bool,
    /// Never awaited, so that `has_changed` reports every change of phase.
    pub(super) phase: watch::Receiver<Phase>,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        let call = self.0.activity.begin_call();
        ResponseFuture {
            is_grpc: fallback::is_grpc(request.headers()),
            allowed_origin: self.0.allowed_origin(request.headers()),
            version: request.version(),
            uri: request.uri().clone(),
            response: dispatch(&self.0, request),
            parts: Arc::clone(&self.0),
            call: Some(call),
        }
    }
}

impl ConnectionState {
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.endpoint.cors.as_ref()?.allowed_origin(headers)
    }
}

/// Returns the reply of the endpoint: to a preflight request, of its guard, its fast path or its
/// router.
fn dispatch(
    connection: &ConnectionState,
    request: Request<Incoming>,
) -> BoxFuture<'static, Response<Body>> {
    let endpoint = &connection.endpoint;
    if let Err(error) = check_host(&request).and_then(|()| check_reserve(connection, &request)) {
        let version = request.version();
        return Box::pin(
            refuse(endpoint, request, error).map(move |reply| closing(reply, version)),
        );
    }
    if let Some(cors) = &endpoint.cors
        && let Some(response) = cors.preflight(&request)
    {
        return Box::pin(ready(response));
    }
    if let Some(guard) = &endpoint.guard
        && let Err(error) = guard.check(&request, &connection.peer)
    {
        return refuse(endpoint, request, error);
    }
    if let Some(fast_path) = &endpoint.fast_path
        && let Some(target) = fast_path.find(request.method(), request.uri().path())
    {
        return fast_path.call(target, request);
    }
    let mut router = endpoint.router.clone();
    let mut request = request;
    if fallback::is_grpc(request.headers()) {
        let phase = ListenerPhase(connection.phase.clone());
        request.extensions_mut().insert(phase);
    }
    Box::pin(async move {
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    })
}

/// A call in progress.
pub(super) struct ResponseFuture {
    response: BoxFuture<'static, Response<Body>>,
    parts: Arc<ConnectionState>,
    /// Moves into the reply.
    call: Option<InFlight>,
    is_grpc: bool,
    /// The origin that the reply names.
    allowed_origin: Option<HeaderValue>,
    version: Version,
    uri: Uri,
}

impl Future for ResponseFuture {
    type Output = Result<Response<TrackedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = AssertUnwindSafe(|| self.response.as_mut().poll(cx));
        let response = match panic::catch_unwind(poll) {
            Ok(response) => std::task::ready!(response),
            Err(_) => panic_response(self.is_grpc, self.uri.path()),
        };
        // The first phase is `Serving`; a dropped handle drains as well.
        let is_draining = self.parts.phase.has_changed().unwrap_or(true);
        // The rest of a body that is too large is not always read.
        let is_too_large = response.status() == status(Code::PayloadTooLarge).http;
        let mut response = match is_draining || is_too_large || self.parts.is_reserved {
            true => closing(response, self.version),
            false => response,
        };
        if let Some(cors) = &self.parts.endpoint.cors {
            cors.add_headers(self.allowed_origin.clone(), response.headers_mut());
        }
        let is_streaming = response.extensions().get::<StreamingReply>().is_some();
        let end = is_streaming.then(|| wait_for_drain(self.parts.phase.clone()));
        let call = self.call.take();
        let max_frame_bytes = match self.version < Version::HTTP_2 {
            true => usize::MAX,
            false => FRAME_BYTES,
        };
        Poll::Ready(Ok(response.map(|body| TrackedBody {
            body,
            rest: Bytes::new(),
            max_frame_bytes,
            end,
            _call: call,
        })))
    }
}

/// Completes when the listener begins to drain, or has begun.
fn wait_for_drain(mut phase: watch::Receiver<Phase>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        // A dropped handle drains as well.
        let _is_gone = phase.changed().await;
    })
}

/// The body of a reply, which keeps its call in flight until hyper has taken all of it.
pub(super) struct TrackedBody {
    body: Body,
    /// The rest of a frame that is sent in pieces.
    rest: Bytes,
    /// The largest frame that hyper gets.
    max_frame_bytes: usize,
    /// Ends a body that has no end of its own.
    end: Option<BoxFuture<'static, ()>>,
    _call: Option<InFlight>,
}

impl TrackedBody {
    fn poll_whole_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            self.end = None;
            self.body = Body::empty();
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Poll::Ready(frame) = self.poll_whole_frame(cx) else {
                stalled_stream::record(BodyPoll::Pending);
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        stalled_stream::record(BodyPoll::Frame);
        let n_bytes = self.rest.len().min(self.max_frame_bytes);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(n_bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Checks the header `Host` of a request over HTTP/1.1.
fn check_host<B>(request: &Request<B>) -> Result<(), Error> {
    if request.version() != Version::HTTP_11 {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let problem = match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => return Ok(()),
        (Some(_), None) => "is not a host with an optional port",
        (Some(_), Some(_)) => "appears more than once",
        (None, _) => "is missing",
    };
    Err(Error::invalid(format!(
        "header `host` {problem}; HTTP/1.1 needs exactly one, such as `localhost:8000`"
    )))
}

/// Returns whether a value is a host with an optional port. It is empty when the address that the
/// client called has no host.
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

/// Checks that a call may use the reserve of connections, if its connection is one of them.
fn check_reserve<B>(connection: &ConnectionState, request: &Request<B>) -> Result<(), Error> {
    match connection.is_reserved && !may_use_reserve(request.uri().path()) {
        false => Ok(()),
        true => Err(Error::new(
            Code::Unavailable,
            "the server has as many connections as it allows (`max_connections`); retry later or \
             on another server",
        )),
    }
}

/// Returns whether a path is for those who watch or operate the server.
fn may_use_reserve(path: &str) -> bool {
    let health = ["/v2/health/", "/grpc.health.v1.Health/"];
    match DialectId::of_path(path) {
        DialectId::Admin | DialectId::Health | DialectId::Metrics => true,
        DialectId::OpenInference | DialectId::Grpc => {
            health.iter().any(|prefix| path.starts_with(prefix))
        }
        DialectId::Native | DialectId::Documentation => false,
    }
}

/// Replies to a call that no handler gets to see.
fn refuse(
    endpoint: &Endpoint,
    request: Request<Incoming>,
    error: Error,
) -> BoxFuture<'static, Response<Body>> {
    match &endpoint.refuser {
        Some(refuser) => refuser.refuse(request, error),
        None => {
            let path = request.uri().path();
            Box::pin(ready(fallback::rest_error(path, &error, &new_request_id())))
        }
    }
}

/// Adds to a reply over HTTP/1.1 that the connection is closed after it.
fn closing(mut reply: Response<Body>, version: Version) -> Response<Body> {
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        reply.headers_mut().insert(header::CONNECTION, close);
    }
    reply
}

/// Replies to a panic outside of the REST frame, which catches the panics of its handlers.
fn panic_response(is_grpc: bool, path: &str) -> Response<Body> {
    let error = Error::internal("call panicked outside of the frame");
    let id = new_request_id();
    tracing::error!(%id, path, "call panicked outside of the frame");
    match is_grpc {
        true => fallback::grpc_error(&error),
        false => fallback::rest_error(path, &error, &id),
    }
}
