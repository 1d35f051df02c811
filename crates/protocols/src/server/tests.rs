use std::time::Duration;

use async_compression::tokio::bufread::GzipEncoder;
use axum::routing::{get, post};
use bytes::Bytes;
use contract::testing::{EchoServer, RecordingObserver, model_info};
use contract::{Dimension, ElementType, ExpositionFormat, Signature, TensorSpec};
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::*;
use crate::context::{Limits, ServerInfo};
use crate::memory_budget::MemoryBudget;
use crate::native::Native;
use crate::rest::{Reply, handler};

/// Far more than any step takes; a test that needs it has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

struct TestServer {
    handle: ListenerHandle,
    ctx: Arc<Context>,
    observer: Arc<RecordingObserver>,
    /// Calls of `/wait` that have begun.
    begun: Arc<Semaphore>,
    /// Lets calls of `/wait` end.
    release: Arc<Semaphore>,
    /// Streams of `/ticks` that have ended.
    ended: Arc<Semaphore>,
}

/// A guard that reports when it was dropped.
struct End(Arc<Semaphore>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl TestServer {
    fn start() -> Self {
        Self::start_with(Limits {
            body_bytes: 100_000,
            ..Limits::default()
        })
    }

    fn start_with(limits: Limits) -> Self {
        let observer = Arc::new(RecordingObserver::default());
        let ctx = context(limits, &observer);
        let [begun, release, ended] = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
        let routes = test_routes(&ctx, &begun, &release, &ended);
        let routes = fallback::with_fallback(routes, &ctx);
        let options = ServeOptions::from(&ctx.limits);
        let handle = serve("127.0.0.1:0".parse().unwrap(), routes, options).unwrap();
        Self {
            handle,
            ctx,
            observer,
            begun,
            release,
            ended,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.handle.addr()).await.unwrap()
    }

    /// Sends bytes on a new connection and gives all that comes back.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_to_end(&mut stream).await
    }

    async fn is_healthy(&self) -> bool {
        let reply = self.exchange(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        reply.await.ends_with("\r\n\r\nhello")
    }
}

/// One model `a` that gives its two numbers back.
pub(super) fn context(limits: Limits, observer: &Arc<RecordingObserver>) -> Arc<Context> {
    let numbers = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Fixed(2)],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![numbers("x")],
        outputs: vec![numbers("y")],
    };
    let echo = Arc::new(EchoServer::new([model_info("a", "1", signature)]));
    let info = ServerInfo {
        version: "0.0.0".to_owned(),
        is_gpu_available: false,
        is_control_enabled: false,
        is_strict_json: false,
    };
    Arc::new(Context::new(&echo, Arc::clone(observer) as _, limits, info))
}

fn test_routes(
    ctx: &Arc<Context>,
    begun: &Arc<Semaphore>,
    release: &Arc<Semaphore>,
    ended: &Arc<Semaphore>,
) -> Router {
    let text = || http::HeaderValue::from_static("text/plain");
    let hello = handler::<Native, _, _>(
        ctx,
        move |_, _| async move { Ok(Reply::new(text(), "hello")) },
    );
    let echo = handler::<Native, _, _>(ctx, move |_, call| async move {
        Ok(Reply::new(text(), call.body))
    });
    let boom = handler::<Native, _, _>(ctx, |_, call| async move {
        assert!(call.body.len() > 1_000_000, "the secret of the handler");
        Ok(Reply::json("{}"))
    });
    let (begun, release) = (Arc::clone(begun), Arc::clone(release));
    let wait = handler::<Native, _, _>(ctx, move |_, _| {
        let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
        async move {
            begun.add_permits(1);
            release.acquire().await.unwrap().forget();
            Ok(Reply::new(text(), "waited"))
        }
    });
    let ended = Arc::clone(ended);
    let ticks = handler::<Native, _, _>(ctx, move |_, _| {
        let end = End(Arc::clone(&ended));
        let first = stream::once(async { Bytes::from_static(b"data: first\n\n") });
        let rest = stream::pending().inspect(move |_| {
            // It goes with the stream.
            let _end = &end;
        });
        async move { Ok(Reply::events(first.chain(rest).boxed())) }
    });
    Router::new()
        .route("/ticks", get(ticks))
        .route("/hello", get(hello))
        .route("/echo", post(echo))
        .route("/boom", get(boom))
        .route("/wait", get(wait))
        .route("/v2/only-post", post(|| async { StatusCode::OK }))
        .route("/v2/unframed", get(unframed).post(unframed))
}

/// A handler outside of the frame, as those of gRPC are.
async fn unframed() -> StatusCode {
    panic!("the secret of the handler")
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await;
    read.expect("the server closes the connection").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one reply of known length and leaves the connection open.
async fn read_reply(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(TIMEOUT, stream.read(&mut bytes)).await;
        let n_bytes = read.expect("a reply comes").unwrap();
        assert!(n_bytes > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&bytes[..n_bytes]));
    }
    text
}

fn post_head(headers: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::new();
    let mut encoder = GzipEncoder::new(bytes);
    encoder.read_to_end(&mut deflated).await.unwrap();
    deflated
}

#[tokio::test]
async fn unknown_paths_and_methods_get_json_of_their_dialect() {
    let server = TestServer::start();
    let mut replies = String::new();
    for line in [
        "GET /nowhere",
        "POST /hello",
        "GET /v2/nowhere",
        "GET /v2/only-post",
        "GET /v20",
        "HEAD /hello",
    ] {
        let request =
            format!("{line} HTTP/1.1\r\nhost: x\r\nx-request-id: t1\r\nconnection: close\r\n\r\n");
        let reply = server.exchange(request.as_bytes()).await;
        let lines: Vec<_> = reply.lines().filter(|l| !l.starts_with("date:")).collect();
        replies.push_str(&format!("> {line}\n{}\n\n", lines.join("\n")));
    }
    insta::assert_snapshot!(replies);
}

#[tokio::test]
async fn every_listener_has_its_routes_and_no_route_twice() {
    let ctx = context(Limits::default(), &Arc::default());
    const ADMIN: Dialects = Dialects::new(&[DialectId::Admin]);
    let cases = [
        (Dialects::ALL, "/metrics", StatusCode::OK),
        (Dialects::ALL, "/docs/", StatusCode::OK),
        (Dialects::ALL, "/v2/health/live", StatusCode::OK),
        (Dialects::METRICS, "/metrics", StatusCode::OK),
        (Dialects::METRICS, "/health/live", StatusCode::OK),
        (Dialects::METRICS, "/models", StatusCode::NOT_FOUND),
        (Dialects::GRPC, "/metrics", StatusCode::NOT_FOUND),
        (ADMIN, "/api/models/a", StatusCode::OK),
        (ADMIN, "/models/a", StatusCode::NOT_FOUND),
    ];
    for (dialects, path, status) in cases {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let reply = router(&ctx, dialects).oneshot(request).await.unwrap();
        assert_eq!(reply.status(), status, "{dialects:?} {path}");
    }
}

#[tokio::test]
async fn metrics_have_the_format_that_the_scraper_asks_for() {
    let ctx = context(Limits::default(), &Arc::default());
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
                        application/openmetrics-text;version=0.0.1;q=0.75,\
                        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3_text = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                             text/plain;version=0.0.4;q=0.5,*/*;q=0.2";
    for (accept, format) in [
        (None, ExpositionFormat::Text),
        (Some("*/*"), ExpositionFormat::Text),
        (Some("text/html, text/plain;q=0.8"), ExpositionFormat::Text),
        (Some(prometheus_2), ExpositionFormat::OpenMetrics),
        (Some(prometheus_3_text), ExpositionFormat::Text),
        (
            Some("Application/OpenMetrics-Text"),
            ExpositionFormat::OpenMetrics,
        ),
        (
            Some("application/openmetrics-text; q=0.4, text/plain; q=0.6"),
            ExpositionFormat::Text,
        ),
        (
            Some("application/openmetrics-text;q=0"),
            ExpositionFormat::Text,
        ),
    ] {
        let mut request = Request::get("/metrics");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let reply = router(&ctx, Dialects::METRICS).oneshot(request);
        let headers = reply.await.unwrap().headers().clone();
        assert_eq!(headers["content-type"], format.content_type(), "{accept:?}");
    }
}

#[tokio::test]
async fn admission_of_versions_is_reported_once_for_each_scrape() {
    let observer = Arc::new(RecordingObserver::default());
    let ctx = context(Limits::default(), &observer);
    for n_scrapes in 1..3 {
        let request = Request::get("/metrics").body(axum::body::Body::empty());
        let reply = router(&ctx, Dialects::METRICS).oneshot(request.unwrap());
        let body = reply.await.unwrap().into_body().collect().await.unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let n_reported = body
            .lines()
            .filter(|line| line.contains("predicted_wait: Some"));
        assert_eq!(n_reported.count(), n_scrapes, "{body}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_closed() {
    let server = TestServer::start_with(Limits {
        header_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    for part in ["", "GET /hello HTTP/1.1\r\nhost:", "PRI * HT"] {
        let reply = server.exchange(part.as_bytes()).await;
        assert_eq!(reply, "", "{part:?}");
    }
    assert!(server.is_healthy().await);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_time_out() {
    let server = TestServer::start_with(Limits {
        header_timeout: Duration::from_millis(20),
        ..Limits::default()
    });
    let mut idle = server.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut idle, "hello").await;
    // This one is closed by the header time-out, and began later than the idle one.
    server.exchange(b"GET ").await;
    server.exchange(b"GET ").await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut idle, "hello").await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_timed_out() {
    let server = TestServer::start_with(Limits {
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let reply = server
        .exchange(post_head("content-length: 9\r\n").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("\"code\":\"request_timeout\""), "{reply}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_length() {
    let server = TestServer::start();
    let fitting = &"x".repeat(100_000);
    let body = format!("{fitting}x");
    let announced = post_head("content-length: 100001\r\n") + &body;
    let only_announced = post_head("content-length: 99999999999999999999999999\r\n");
    let chunked =
        post_head("transfer-encoding: chunked\r\n") + "186a1\r\n" + &body + "\r\n0\r\n\r\n";
    let fits = post_head("content-length: 100000\r\n") + fitting;
    assert!(server.exchange(fits.as_bytes()).await.ends_with(fitting));
    for request in [announced, chunked] {
        let reply = server.exchange(request.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
        let limit = "over the limit of 100000 bytes (`max_body_bytes`)";
        assert!(reply.contains(limit), "{reply}");
    }
    let reply = server.exchange(only_announced.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
}

#[tokio::test]
async fn a_connection_is_closed_after_a_body_over_the_limit() {
    let server = TestServer::start();
    let body = "x".repeat(100_001);
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n";
    let reply = server.exchange(format!("{head}{body}").as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("connection: close\r\n"), "{reply}");
}

#[tokio::test]
async fn http1_needs_exactly_one_valid_host() {
    let server = TestServer::start();
    let get = |version: &str, headers: &str| {
        format!("GET /none {version}\r\nconnection: close\r\n{headers}\r\n")
    };
    // (headers, part of the message); without one the request reaches the router.
    let cases = [
        ("", "header `host` is missing"),
        ("host: a\r\nhost: a\r\n", "appears more than once"),
        ("host: a/b\r\n", "is not a host with an optional port"),
        ("host: user@a\r\n", "is not a host with an optional port"),
        ("host: a b\r\n", "is not a host with an optional port"),
        ("host: a, b\r\n", "is not a host with an optional port"),
        ("host: [::1\r\n", "is not a host with an optional port"),
        ("host: localhost:8000\r\n", ""),
        ("host: [::1]:8000\r\n", ""),
        ("host:\r\n", ""),
    ];
    for (headers, problem) in cases {
        let reply = server.exchange(get("HTTP/1.1", headers).as_bytes()).await;
        let status = if problem.is_empty() { 404 } else { 400 };
        let expected = format!("HTTP/1.1 {status} ");
        assert!(reply.starts_with(&expected), "{headers:?}: {reply}");
        assert!(reply.contains(problem), "{headers:?}: {reply}");
    }
    let reply = server.exchange(get("HTTP/1.0", "").as_bytes()).await;
    assert!(reply.contains(" 404 "), "{reply}");
}

#[tokio::test]
async fn a_refused_caller_gets_no_100_continue() {
    let server = TestServer::start();
    let request = post_head("content-length: 100001\r\nexpect: 100-continue\r\n");
    let reply = server.exchange(request.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_body_of_tiny_chunks_is_refused() {
    let server = TestServer::start();
    let chunks = "1\r\nx\r\n".repeat(65_537);
    let request = post_head("transfer-encoding: chunked\r\n") + &chunks + "0\r\n\r\n";
    let reply = server.exchange(request.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("more than 65536 chunks"), "{reply}");
}

#[tokio::test]
async fn content_codings_are_undone_within_the_limit() {
    let server = TestServer::start();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("gzip", gzip(b"hello").await, "200"),
        ("identity", b"hello".to_vec(), "200"),
        ("gzip", gzip(&[b'x'; 100_001]).await, "413"),
        ("gzip", gzip(b"hello").await[..12].to_vec(), "400"),
        ("br", b"hello".to_vec(), "415"),
        ("gzip, gzip", gzip(b"hello").await, "415"),
    ];
    let mut failed = Vec::new();
    for (coding, body, status) in cases {
        let head = post_head(&format!(
            "content-encoding: {coding}\r\ncontent-length: {}\r\n",
            body.len()
        ));
        let reply = server.exchange(&[head.as_bytes(), &body].concat()).await;
        let is_echo = reply.ends_with("\r\n\r\nhello");
        let tells_codings = reply.contains("accept-encoding: gzip, deflate, zstd");
        if !reply.starts_with(&format!("HTTP/1.1 {status} "))
            || is_echo != (status == "200")
            || tells_codings != (status == "415")
        {
            failed.push((coding, status, reply));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_connection_lives() {
    let server = TestServer::start();
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /boom HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let reply = read_reply(&mut stream, "}}").await;
    assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
    assert!(reply.contains("\"code\":\"internal\""), "{reply}");
    assert!(!reply.contains("secret"), "{reply}");
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut stream, "hello").await;
    let events = server.observer.events();
    assert!(events[0].contains("Internal"), "{events:?}");
}

#[tokio::test]
async fn a_panic_outside_of_the_frame_is_answered_too() {
    let server = TestServer::start();
    let request = b"GET /v2/unframed HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = server.exchange(request).await;
    assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
    assert!(reply.contains("\"code\":\"internal\""), "{reply}");
    let request = b"POST /v2/unframed HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
    let reply = server.exchange(request).await;
    assert!(reply.contains("grpc-status: 13"), "{reply}");
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_recorded_as_cancelled() {
    let server = TestServer::start();
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.begun.acquire().await.unwrap().forget();
    drop(stream);
    let cancelled = async {
        while server.observer.events().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, cancelled).await.unwrap();
    assert!(server.observer.events()[0].contains("Cancelled"));
}

/// An HTTP/2 connection; its task ends with the connection.
async fn http2(server: &TestServer) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let io = TokioIo::new(server.connect().await);
    let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

#[tokio::test]
async fn http2_without_tls_shares_the_port() {
    let server = TestServer::start();
    let (mut sender, _) = http2(&server).await;
    let request = Request::post("http://x/echo")
        .body(Full::new(Bytes::from("over h2")))
        .unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "over h2");
    let request = Request::post("http://x/pkg.Service/Call")
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.headers()["grpc-status"], "12");
}

#[tokio::test]
async fn the_first_phase_of_a_drain_ends_http2_after_its_calls() {
    let server = TestServer::start();
    let (mut sender, connection) = http2(&server).await;
    let request = Request::get("http://x/wait").body(Full::default()).unwrap();
    let reply = tokio::spawn(sender.send_request(request));
    server.begun.acquire().await.unwrap().forget();
    server.handle.begin_drain();
    server.release.add_permits(1);
    let body = reply.await.unwrap().unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "waited");
    // The client would keep the connection; it is the server that ends it.
    let ended = tokio::time::timeout(TIMEOUT, connection).await.unwrap();
    assert!(ended.unwrap().is_ok());
    drop(sender);
    assert!(server.is_healthy().await);
}

#[tokio::test]
async fn a_drain_answers_what_runs_and_closes_what_is_idle() {
    let server = TestServer::start();
    let mut idle = server.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut idle, "hello").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.begun.acquire().await.unwrap().forget();
    let addr = server.handle.addr();
    let close = tokio::spawn(server.handle.close(TIMEOUT));
    assert_eq!(read_to_end(&mut idle).await, "");
    server.release.add_permits(1);
    let reply = read_to_end(&mut busy).await;
    assert!(reply.ends_with("waited"), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
    assert_eq!(close.await.unwrap(), 0);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_drain_ends_streams_of_events_and_loses_none_that_was_sent() {
    let server = TestServer::start();
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /ticks HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n")
        .await
        .unwrap();
    let reply = read_reply(&mut stream, "data: first\n\n\r\n").await;
    assert!(reply.contains("text/event-stream"), "{reply}");
    assert!(!reply.contains("content-encoding"), "{reply}");
    let close = tokio::spawn(server.handle.close(TIMEOUT));
    assert_eq!(read_to_end(&mut stream).await, "0\r\n\r\n");
    assert_eq!(close.await.unwrap(), 0);
}

#[tokio::test]
async fn the_first_phase_of_a_drain_ends_streams_of_events_over_http2() {
    let server = TestServer::start();
    let (mut sender, connection) = http2(&server).await;
    let request = Request::get("http://x/ticks").body(Full::default());
    let reply = sender.send_request(request.unwrap()).await.unwrap();
    server.handle.begin_drain();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "data: first\n\n");
    let ended = tokio::time::timeout(TIMEOUT, connection).await.unwrap();
    assert!(ended.unwrap().is_ok());
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_of_events_ends_it() {
    let server = TestServer::start();
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /ticks HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut stream, "data: first\n\n\r\n").await;
    drop(stream);
    let ended = server.ended.acquire();
    let ended = tokio::time::timeout(TIMEOUT, ended).await.unwrap();
    ended.unwrap().forget();
}

#[tokio::test]
async fn a_drain_answers_requests_that_arrived_before_it() {
    let server = TestServer::start();
    let mut used = server.connect().await;
    used.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut used, "hello").await;
    let mut fresh = server.connect().await;
    used.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let close = tokio::spawn(server.handle.close(TIMEOUT));
    assert!(read_to_end(&mut used).await.ends_with("hello"));
    fresh
        .write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(read_to_end(&mut fresh).await.ends_with("hello"));
    assert_eq!(close.await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_aborts_what_is_open_at_its_deadline() {
    let server = TestServer::start();
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.begun.acquire().await.unwrap().forget();
    assert_eq!(server.handle.close(Duration::from_millis(100)).await, 1);
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn the_first_phase_of_a_drain_asks_clients_to_move_on() {
    let server = TestServer::start();
    server.handle.begin_drain();
    let reply = server
        .exchange(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert!(reply.contains("connection: close"), "{reply}");
    assert!(reply.ends_with("hello"), "{reply}");
}

/// A listener of every dialect that is full, and the connection that fills it.
async fn full_listener() -> (ListenerHandle, TcpStream) {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let ctx = context(limits, &Arc::default());
    let options = ServeOptions::from(&ctx.limits);
    let endpoint = endpoint(&ctx, Dialects::ALL, None);
    let handle = serve("127.0.0.1:0".parse().unwrap(), endpoint, options).unwrap();
    let mut first = TcpStream::connect(handle.addr()).await.unwrap();
    first
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_reply(&mut first, "}").await;
    (handle, first)
}

#[tokio::test]
async fn a_full_listener_answers_health_and_operators_and_refuses_the_rest() {
    let (handle, _first) = full_listener().await;
    let cases = [
        ("/health/live", "200 OK"),
        ("/v2/health/live", "200 OK"),
        ("/metrics", "200 OK"),
        ("/api/models/a", "200 OK"),
        ("/models/a", "503 Service Unavailable"),
        ("/v2/models/a", "503 Service Unavailable"),
        ("/metrics", "200 OK"),
    ];
    let mut last = String::new();
    for (path, status) in cases {
        let mut stream = TcpStream::connect(handle.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = read_to_end(&mut stream).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{reply}");
        assert!(reply.contains("connection: close"), "{reply}");
        if status.starts_with("503") {
            assert!(reply.contains("\"code\":\"unavailable\""), "{reply}");
            assert!(reply.contains("retry-after: 1"), "{reply}");
        }
        last = reply;
    }
    let n_counted = last.matches("error: Some(Unavailable)").count();
    assert_eq!(n_counted, 2, "refusals are counted: {last}");
}

#[tokio::test]
async fn a_full_listener_answers_health_over_http2_and_refuses_inferences() {
    let (handle, _first) = full_listener().await;
    let stream = TcpStream::connect(handle.addr()).await.unwrap();
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let request = |method: &str| {
        let request = Request::post(format!("http://x/{method}"));
        let request = request.header("content-type", "application/grpc");
        request
            .body(Full::new(Bytes::from_static(&[0; 5])))
            .unwrap()
    };
    let health = sender
        .send_request(request("grpc.health.v1.Health/Check"))
        .await;
    assert!(health.unwrap().headers().get("grpc-status").is_none());
    let call = request("inference.GRPCInferenceService/ServerLive");
    let refused = sender.send_request(call).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn a_silent_connection_leaves_the_reserve_soon() {
    let (handle, _first) = full_listener().await;
    let mut silent = TcpStream::connect(handle.addr()).await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
}

/// Waits until `budget` has no room for 100,000 bytes, or has it again.
async fn wait_until_full(budget: &MemoryBudget, is_full: bool) {
    let wait = async {
        while budget.check(100_000).is_err() != is_full {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await.unwrap();
}

fn check_buffer_full(reply: &str) {
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    assert!(reply.contains("\"code\":\"buffer_full\""), "{reply}");
    assert!(reply.contains("retry-after: 1"), "{reply}");
}

#[tokio::test]
async fn unfinished_uploads_fill_the_memory_for_bodies_and_others_are_refused() {
    let server = TestServer::start_with(Limits {
        body_memory_bytes: 150_000,
        ..Limits::default()
    });
    let mut unfinished = server.connect().await;
    let head = post_head("content-length: 200000\r\n");
    let part = "x".repeat(100_000);
    unfinished
        .write_all((head + &part).as_bytes())
        .await
        .unwrap();
    wait_until_full(&server.ctx.memory.bodies, true).await;
    let announced = post_head("content-length: 100000\r\n") + &part;
    let chunked = post_head("transfer-encoding: chunked\r\n") + "186a0\r\n" + &part;
    for request in [&announced, &chunked] {
        check_buffer_full(&server.exchange(request.as_bytes()).await);
    }
    drop(unfinished);
    wait_until_full(&server.ctx.memory.bodies, false).await;
    assert!(server.exchange(announced.as_bytes()).await.ends_with(&part));
}

#[tokio::test]
async fn replies_that_nobody_takes_fill_their_memory_until_the_peer_is_gone() {
    let server = TestServer::start_with(Limits {
        reply_memory_bytes: 150_000,
        ..Limits::default()
    });
    let stream = server.connect().await;
    let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    http2.initial_stream_window_size(1);
    let (mut sender, connection) = http2.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
    let request = Request::post("http://x/echo").body(body).unwrap();
    let stalled = sender.send_request(request).await.unwrap();
    assert_eq!(stalled.status(), StatusCode::OK);
    wait_until_full(&server.ctx.memory.replies, true).await;
    let request = post_head("content-length: 100000\r\n") + &"x".repeat(100_000);
    check_buffer_full(&server.exchange(request.as_bytes()).await);
    connection.abort();
    drop(stalled);
    wait_until_full(&server.ctx.memory.replies, false).await;
    let reply = server.exchange(request.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
}

#[tokio::test]
async fn a_taken_address_is_named_in_the_error() {
    let server = TestServer::start();
    let addr = server.handle.addr();
    let options = ServeOptions::from(&Limits::default());
    let error = serve(addr, Router::new(), options).unwrap_err().to_string();
    assert!(
        error.contains(&format!("cannot listen on `{addr}`")),
        "{error}"
    );
}

#[tokio::test]
async fn random_bytes_leave_the_server_healthy() {
    let server = TestServer::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let heads = [
        "",
        "GET / HTTP/1.1\r\n",
        "POST /echo HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for round in 0..500 {
        let length = usize::from(random()[0] % 64);
        let noise: Vec<u8> = std::iter::repeat_with(|| random()[0])
            .take(length)
            .collect();
        let mut stream = server.connect().await;
        let bytes = [heads[round % heads.len()].as_bytes(), &noise].concat();
        // The server may hang up while we write; that is as good as any other answer.
        let _sent = stream.write_all(&bytes).await;
        let _closed = stream.shutdown().await;
        read_to_end(&mut stream).await;
    }
    assert!(server.is_healthy().await);
}
