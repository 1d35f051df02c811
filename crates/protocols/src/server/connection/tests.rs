//! The watchdog, second by second, and connections over streams that are no sockets.

use axum::Router;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::context::Limits;

/// Seconds since a connection was accepted.
type Seconds = u64;

/// The snapshot at second 0, unless a case sets another.
#[derive(Clone, Copy, Debug, Default)]
struct Case {
    draining_since: Option<Seconds>,
    closing_since: Option<Seconds>,
    finishing_since: Option<Seconds>,
    head_since: Option<Seconds>,
    last_progress: Seconds,
    last_call: Seconds,
    blocked_since: Option<Seconds>,
    n_in_flight: usize,
    is_fresh: bool,
    is_http2: bool,
    now: Seconds,
}

/// A verdict in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Wait(Seconds),
    Finish,
    Abort,
}

fn next_action(case: Case) -> Expected {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let options = ServeOptions {
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        max_headers: 100,
        max_connections: 1,
    };
    let watchdog = Watchdog {
        draining_since: case.draining_since.map(at),
        closing_since: case.closing_since.map(at),
        finishing_since: case.finishing_since.map(at),
    };
    let snapshot = Snapshot {
        head_since: case.head_since.map(at),
        last_progress: at(case.last_progress),
        last_call: at(case.last_call),
        blocked_since: case.blocked_since.map(at),
        n_in_flight: case.n_in_flight,
        n_calls: usize::from(!case.is_fresh),
        is_http2: case.is_http2,
    };
    match watchdog.next_action(&snapshot, &options, at(case.now)) {
        ConnectionAction::Wait(until) => Expected::Wait((until - start).as_secs()),
        ConnectionAction::Finish => Expected::Finish,
        ConnectionAction::Abort(_) => Expected::Abort,
    }
}

fn check(cases: &[(&str, Case, Expected)]) {
    let failed: Vec<_> = cases
        .iter()
        .filter(|(_, case, expected)| next_action(*case) != *expected)
        .map(|(name, case, expected)| (name, next_action(*case), expected))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn an_open_connection_is_watched_for_idleness_and_slow_heads() {
    let idle = Case::default();
    let in_head = Case {
        head_since: Some(0),
        ..idle
    };
    let busy = Case {
        n_in_flight: 1,
        ..in_head
    };
    check(&[
        (
            "idle, just now",
            Case { now: 1, ..idle },
            Expected::Wait(11),
        ),
        (
            "idle for long",
            Case { now: 70, ..idle },
            Expected::Wait(75),
        ),
        ("idle too long", Case { now: 75, ..idle }, Expected::Finish),
        (
            "running is not idle",
            Case { now: 76, ..busy },
            Expected::Wait(86),
        ),
        (
            "head in time",
            Case { now: 9, ..in_head },
            Expected::Wait(10),
        ),
        (
            "head too slow",
            Case { now: 10, ..in_head },
            Expected::Abort,
        ),
    ]);
}

#[test]
fn a_closing_connection_finishes_once_what_arrived_is_read() {
    let idle = Case {
        closing_since: Some(19),
        last_progress: 19,
        ..Case::default()
    };
    let fresh = Case {
        is_fresh: true,
        head_since: Some(19),
        ..idle
    };
    let finishing = Case {
        finishing_since: Some(19),
        ..idle
    };
    let busy = Case {
        n_in_flight: 1,
        ..finishing
    };
    check(&[
        ("settling", Case { now: 19, ..idle }, Expected::Wait(19)),
        ("settled", Case { now: 20, ..idle }, Expected::Finish),
        (
            "fresh, not yet",
            Case { now: 19, ..fresh },
            Expected::Wait(20),
        ),
        (
            "fresh, for long",
            Case { now: 20, ..fresh },
            Expected::Finish,
        ),
        (
            "lingering",
            Case {
                now: 23,
                ..finishing
            },
            Expected::Wait(24),
        ),
        (
            "stuck",
            Case {
                now: 24,
                ..finishing
            },
            Expected::Abort,
        ),
        ("running", Case { now: 24, ..busy }, Expected::Wait(29)),
    ]);
}

#[test]
fn a_drain_ends_http2_first() {
    let http1 = Case {
        draining_since: Some(0),
        now: 1,
        ..Case::default()
    };
    let http2 = Case {
        is_http2: true,
        ..http1
    };
    let fresh = Case {
        is_fresh: true,
        now: 0,
        ..http2
    };
    check(&[
        ("HTTP/1.1", http1, Expected::Wait(11)),
        ("HTTP/2", http2, Expected::Finish),
        ("fresh HTTP/2", fresh, Expected::Wait(1)),
    ]);
}

#[test]
fn only_calls_keep_an_http2_connection_and_only_a_reader_keeps_any() {
    let pinging = Case {
        is_http2: true,
        last_progress: 74,
        ..Case::default()
    };
    let blocked = Case {
        blocked_since: Some(5),
        n_in_flight: 1,
        last_progress: 5,
        ..Case::default()
    };
    let trickling = Case {
        finishing_since: Some(19),
        last_progress: 93,
        ..Case::default()
    };
    check(&[
        ("pinging", Case { now: 74, ..pinging }, Expected::Wait(75)),
        (
            "pinging for long",
            Case { now: 75, ..pinging },
            Expected::Finish,
        ),
        (
            "calling",
            Case {
                now: 75,
                last_call: 70,
                ..pinging
            },
            Expected::Wait(85),
        ),
        ("blocked", Case { now: 79, ..blocked }, Expected::Wait(80)),
        (
            "blocked for long",
            Case { now: 80, ..blocked },
            Expected::Abort,
        ),
        (
            "trickling",
            Case {
                now: 93,
                ..trickling
            },
            Expected::Wait(94),
        ),
        (
            "trickling for long",
            Case {
                now: 94,
                ..trickling
            },
            Expected::Abort,
        ),
    ]);
}

/// A served connection without a socket: the end of its client, the sender of its phases, and its
/// task.
fn connect() -> (DuplexStream, watch::Sender<Phase>, JoinHandle<()>) {
    let options = ServeOptions::from(&Limits::default());
    let shared = Arc::new(ListenerShared {
        http: http(&options),
        endpoint: Router::new()
            .route("/", get(async || "served"))
            .route("/large", get(async || vec![0; 100_000]))
            .into(),
        options,
    });
    let (client, server) = duplex(1024);
    let (phase, phase_rx) = watch::channel(Phase::Serving);
    let peer = Peer {
        addr: ([192, 0, 2, 1], 4000).into(),
    };
    (
        client,
        phase,
        tokio::spawn(serve(server, peer, shared, phase_rx, false)),
    )
}

fn request() -> Request<Empty<bytes::Bytes>> {
    Request::get("http://x/")
        .header("host", "x")
        .body(Empty::new())
        .unwrap()
}

async fn check_reply(reply: http::Response<hyper::body::Incoming>) {
    assert_eq!(reply.status(), StatusCode::OK);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "served");
}

#[tokio::test]
async fn http1_is_served_and_drained_over_any_stream() {
    let (client, phase, served) = connect();
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    let connection = tokio::spawn(connection);
    check_reply(sender.send_request(request()).await.unwrap()).await;
    phase.send_replace(Phase::Closing);
    served.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_is_served_and_drained_over_any_stream() {
    let (client, phase, served) = connect();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    check_reply(sender.send_request(request()).await.unwrap()).await;
    phase.send_replace(Phase::Draining);
    served.await.unwrap();
    connection.await.unwrap().unwrap();
}

/// A reply to a client of HTTP/2 with a small window, and the sender of further requests. The client
/// answers pings.
async fn http2_reply(
    client: DuplexStream,
    window_bytes: u32,
) -> (
    http::Response<hyper::body::Incoming>,
    http2::SendRequest<Empty<bytes::Bytes>>,
) {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.initial_stream_window_size(window_bytes);
    let (mut sender, connection) = http2.handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    (sender.send_request(request()).await.unwrap(), sender)
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_peer_takes_nothing_is_reset_and_others_go_on() {
    let (client, _phase, served) = connect();
    let start = Instant::now();
    let (stalled, mut sender) = http2_reply(client, 0).await;
    let reset = stalled.into_body().collect().await.unwrap_err();
    assert!(format!("{reset:?}").contains("Reset"), "{reset:?}");
    assert_eq!(start.elapsed().as_secs(), 75);
    // A reply without a body needs no window.
    let head = Request::head("http://x/").body(Empty::new()).unwrap();
    let reply = sender.send_request(head).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert!(!served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_peer_stops_in_a_reply_is_ended_though_it_answers_pings() {
    let (client, _phase, served) = connect();
    let (stalled, _sender) = http2_reply(client, 1).await;
    let mut body = stalled.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "s");
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_peer_stops_reading_is_ended() {
    let (mut client, _phase, served) = connect();
    let start = Instant::now();
    let request = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    served.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 75);
}
