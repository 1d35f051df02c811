//! A guard in front of every route that the routers have, over real connections.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use contract::Code;
use contract::testing::RecordingObserver;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost_types::FileDescriptorSet;
use serde_json::{Value, json};
use tokio::io::duplex;
use tokio::sync::watch;

use super::super::fallback::is_grpc;
use super::*;
use crate::context::Limits;
use crate::open_inference::grpc::generated::DESCRIPTORS;
use crate::phase::Phase;
use crate::server::connection::{ListenerShared, http, serve};
use crate::server::dialects::Dialects;
use crate::server::fast_path::FastPath;
use crate::server::options::ServeOptions;
use crate::server::{endpoint, tests};

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// The media type of gRPC.
const GRPC: &str = "application/grpc";

fn peer() -> Peer {
    Peer {
        addr: ([192, 0, 2, 1], 4000).into(),
    }
}

/// Refuses every call, and records what it saw.
#[derive(Debug, Default)]
struct RefuseAll(Mutex<Vec<(DialectId, Method, String)>>);

impl Guard for RefuseAll {
    fn check(&self, call: &CallHead<'_>) -> Result<()> {
        assert_eq!(*call.peer, peer());
        assert!(call.headers.contains_key("x-request-id"));
        let path = call.uri.path().to_owned();
        let seen = (call.dialect, call.method.clone(), path);
        self.0.lock().unwrap().push(seen);
        Err(Error::new(Code::Unauthenticated, "call has no key"))
    }
}

#[derive(Debug)]
struct AllowAll;

impl Guard for AllowAll {
    fn check(&self, _: &CallHead<'_>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Panics;

impl Guard for Panics {
    fn check(&self, call: &CallHead<'_>) -> Result<()> {
        assert_eq!(call.method, "BREW", "as the test wants it");
        Ok(())
    }
}

/// A listener with every dialect, without a socket.
struct Fixture {
    shared: Arc<ListenerShared>,
    observer: Arc<RecordingObserver>,
    phase: watch::Sender<Phase>,
}

/// A whole reply; a reply without a body is one of headers alone.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn new(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Self {
        headers.remove(header::DATE);
        Self {
            status,
            headers,
            body,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Fixture {
    fn new(guard: Option<Arc<dyn Guard>>) -> Self {
        let observer = Arc::new(RecordingObserver::default());
        // A call whose body is read fails at once, for it never comes.
        let limits = Limits {
            body_timeout: Duration::ZERO,
            ..Limits::default()
        };
        let ctx = tests::context(limits, &observer);
        let options = ServeOptions::from(&ctx.limits);
        let shared = Arc::new(ListenerShared {
            http: http(&options),
            endpoint: endpoint(&ctx, Dialects::ALL, guard),
            options,
        });
        Self {
            shared,
            observer,
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    /// Sends a request over a connection of its own: HTTP/2 for gRPC, HTTP/1.1 otherwise.
    async fn send<B>(&self, request: Request<B>) -> Reply
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync>
            + Unpin
            + Send
            + 'static,
    {
        let (client, server) = duplex(1 << 16);
        let phase = self.phase.subscribe();
        tokio::spawn(serve(
            server,
            peer(),
            Arc::clone(&self.shared),
            phase,
            false,
        ));
        let io = TokioIo::new(client);
        let response = match is_grpc(request.headers()) {
            true => {
                let handshake = http2::handshake(TokioExecutor::new(), io);
                let (mut sender, connection) = handshake.await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
            false => {
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply::new(parts.status, parts.headers, body)
    }
}

/// A request whose body never comes.
fn request(
    method: &Method,
    path: &str,
    media_type: &str,
) -> Request<impl http_body::Body<Data = Bytes, Error = std::io::Error> + Unpin + Send + 'static> {
    let never = stream::pending::<std::io::Result<Frame<Bytes>>>();
    Request::builder()
        .method(method)
        .uri(format!("http://x{path}"))
        .header(header::HOST, "x")
        .header(header::CONTENT_TYPE, media_type)
        .header("x-request-id", "r1")
        .header("grpc-timeout", "malformed")
        .body(StreamBody::new(never))
        .unwrap()
}

/// The paths of a router, with a value for each parameter. Its debug text is the only public view
/// of its table.
fn paths(router: &Router) -> Vec<String> {
    let text = format!("{router:?}");
    let (table, _) = text.split_once("fallback_router").unwrap();
    let quoted = table.split('"').skip(1).step_by(2);
    let routes = quoted.filter(|text| text.starts_with('/'));
    routes.flat_map(with_parameters).collect()
}

/// The paths of one route: one for each method of a gRPC service, otherwise one.
fn with_parameters(route: &str) -> Vec<String> {
    if let Some(service) = route.strip_suffix("/{*method}") {
        let service = service.trim_start_matches('/');
        let methods = grpc_methods().remove(service).expect(service);
        let paths = methods.iter().map(|method| format!("/{service}/{method}"));
        return paths.collect();
    }
    let segments = route.split('/').map(|segment| match segment {
        segment if segment.starts_with('{') => "a",
        segment => segment,
    });
    vec![segments.collect::<Vec<_>>().join("/")]
}

/// The methods of every gRPC service, from their descriptors.
fn grpc_methods() -> BTreeMap<String, Vec<String>> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = BTreeMap::new();
    for set in sets {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                let names = service.method.iter().map(|method| method.name().to_owned());
                let service = format!("{}.{}", file.package(), service.name());
                methods.insert(service, names.collect());
            }
        }
    }
    methods
}

/// The name of a dialect in metrics.
fn observed_name(dialect: DialectId) -> &'static str {
    match dialect {
        DialectId::OpenInference => "open_inference",
        DialectId::Grpc => "grpc",
        DialectId::Admin => "admin",
        DialectId::Documentation => "documentation",
        DialectId::Native | DialectId::Metrics | DialectId::Health => "native",
    }
}

/// Returns the reply unless it is the refusal that a caller of `dialect` can read.
fn difference(dialect: DialectId, reply: &Reply) -> Option<String> {
    let (code, message) = ("unauthenticated", "call has no key");
    let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap());
    let is_right = header("x-request-id") == Some("r1")
        && match dialect {
            DialectId::Grpc => {
                reply.status == StatusCode::OK
                    && reply.body.is_empty()
                    && header("content-type") == Some(GRPC)
                    && header("grpc-status") == Some("16")
                    && header("grpc-message") == Some("call%20has%20no%20key")
                    && header("x-lockgate-code") == Some(code)
            }
            DialectId::OpenInference => {
                let expected = json!({"error": message, "code": code, "request_id": "r1"});
                reply.status == StatusCode::UNAUTHORIZED && reply.json() == expected
            }
            DialectId::Native
            | DialectId::Admin
            | DialectId::Documentation
            | DialectId::Metrics
            | DialectId::Health => {
                let error = json!({"code": code, "message": message, "request_id": "r1"});
                reply.status == StatusCode::UNAUTHORIZED && reply.json() == json!({"error": error})
            }
        };
    (!is_right).then(|| format!("{reply:?}"))
}

/// Sends calls that the guard refuses, and gives those that were not refused as they should be.
async fn failures(calls: Vec<(DialectId, Method, String)>) -> Vec<String> {
    let guard = Arc::new(RefuseAll::default());
    let fixture = Fixture::new(Some(Arc::clone(&guard) as _));
    let (mut failures, mut n_events) = (Vec::new(), 0);
    for call in calls {
        let (dialect, method, path) = &call;
        let media_type = match *dialect == DialectId::Grpc {
            true => GRPC,
            false => "application/json",
        };
        let reply = fixture.send(request(method, path, media_type)).await;
        let seen = std::mem::take(&mut *guard.0.lock().unwrap());
        let expected_event = format!(
            "dialect: \"{}\", error: Some(Unauthenticated)",
            observed_name(*dialect)
        );
        let events = fixture.observer.events().split_off(n_events);
        n_events += events.len();
        if let Some(difference) = difference(*dialect, &reply) {
            failures.push(format!("{call:?}: {difference}"));
        } else if seen != [call.clone()] {
            failures.push(format!("{call:?}: guard saw {seen:?}"));
        } else if !matches!(&events[..], [event] if event.contains(&expected_event)) {
            failures.push(format!("{call:?}: {events:?}"));
        }
    }
    failures
}

#[tokio::test]
async fn every_route_is_refused_in_the_form_of_its_dialect_before_its_body() {
    let ctx = tests::context(Limits::default(), &Arc::default());
    let mut calls = Vec::new();
    for dialect in DialectId::ALL {
        let paths = paths(&dialect.routes(&ctx));
        assert!(!paths.is_empty(), "{dialect:?}");
        for path in paths {
            let methods = match dialect == DialectId::Grpc {
                true => &[Method::POST],
                false => &METHODS[..],
            };
            calls.extend(
                methods
                    .iter()
                    .map(|method| (dialect, method.clone(), path.clone())),
            );
        }
    }
    let fast_path = FastPath::new(&ctx, Dialects::ALL).unwrap();
    let is_fast = |(_, method, path): &&(_, Method, String)| fast_path.find(method, path).is_some();
    let n_fast = calls.iter().filter(is_fast).count();
    assert!(n_fast >= 7 && calls.len() > 250, "{n_fast} {}", calls.len());
    let failures = failures(calls).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn a_path_without_a_route_is_refused_before_it_is_called_unknown() {
    let paths = [
        (DialectId::Native, "/nowhere"),
        (DialectId::Native, "/v20"),
        (DialectId::OpenInference, "/v2/nowhere"),
        (DialectId::Admin, "/api"),
        (DialectId::Grpc, "/a.Service/Method"),
    ];
    let calls = paths.map(|(dialect, path)| (dialect, Method::POST, path.to_owned()));
    let failures = failures(calls.to_vec()).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn a_header_does_not_change_the_dialect_that_a_guard_sees() {
    let guard = Arc::new(RefuseAll::default());
    let fixture = Fixture::new(Some(Arc::clone(&guard) as _));
    for (dialect, path) in [
        (DialectId::Admin, "/api/rollouts"),
        (DialectId::Native, "/predict"),
    ] {
        let reply = fixture.send(request(&Method::POST, path, GRPC)).await;
        assert_eq!(difference(DialectId::Grpc, &reply), None, "{path}");
        let seen = std::mem::take(&mut *guard.0.lock().unwrap());
        assert_eq!(seen, [(dialect, Method::POST, path.to_owned())]);
    }
}

#[tokio::test]
async fn an_allowed_call_gets_the_reply_of_a_server_without_a_guard() {
    let (guarded, open) = (Fixture::new(Some(Arc::new(AllowAll))), Fixture::new(None));
    let calls = [
        ("/predict", "application/json"),
        ("/v2/models/a/infer", "application/json"),
        ("/v2", "application/json"),
        ("/inference.GRPCInferenceService/ModelInfer", GRPC),
        ("/inference.GRPCInferenceService/ServerLive", GRPC),
        ("/nowhere", GRPC),
    ];
    for (path, media_type) in calls {
        let request = || {
            Request::post(format!("http://x{path}"))
                .header(header::HOST, "x")
                .header(header::CONTENT_TYPE, media_type)
                .header("x-request-id", "r1")
                .body(Empty::new())
                .unwrap()
        };
        let (guarded, open) = (guarded.send(request()).await, open.send(request()).await);
        assert_eq!(guarded, open, "{path}");
    }
}

#[tokio::test]
async fn a_guard_that_panics_refuses_the_call() {
    let fixture = Fixture::new(Some(Arc::new(Panics)));
    let reply = fixture.send(request(&Method::GET, "/health", "text/plain"));
    let reply = reply.await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.json()["error"]["code"], "internal");
}
