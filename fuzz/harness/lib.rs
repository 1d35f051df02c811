//! Sends bytes to a real server over real connections, and checks every reply.
//!
//! Decision: the calls take the same way as those of a client, from the socket over the fast path
//! or the router to a server with models whose engine repeats its inputs. So a client can reproduce
//! each finding, and the decoders stay private. A reply must not report a failure of the server,
//! and must be strict JSON if its content type is JSON.

mod client;
pub mod server;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};

pub use client::Reply;

use client::Client;
use server::Listening;

/// The gRPC statuses that report a failure of the server: unknown, internal and data loss.
const GRPC_SERVER_ERRORS: [&str; 3] = ["2", "13", "15"];

/// Headers of a call.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// The headers of a gRPC call.
pub const GRPC: Headers<'static> = &[("content-type", "application/grpc"), ("te", "trailers")];

/// Ended rollouts after which the server is started anew, because it remembers them for ever.
const MAX_ROLLOUTS: usize = 100;

struct Harness {
    runtime: Runtime,
    listening: Listening,
    client: Client,
}

impl Harness {
    fn start() -> Self {
        let runtime = runtime();
        let listening = runtime.block_on(Listening::start());
        let client = Client::new(listening.address());
        Self {
            runtime,
            listening,
            client,
        }
    }
}

static HARNESS: LazyLock<Mutex<Harness>> = LazyLock::new(|| Mutex::new(Harness::start()));

fn harness() -> MutexGuard<'static, Harness> {
    HARNESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a runtime of one thread, so that a run depends on little but its input.
#[must_use]
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Sends a request whose body comes in these pieces: over HTTP/2 for gRPC, over HTTP/1.1
/// otherwise. `None` when no request can have this path or these headers.
///
/// # Panics
/// When the reply reports a failure of the server, or is not the JSON that its content type
/// promises.
pub fn call(method: Method, path: &str, headers: Headers<'_>, body: &[&[u8]]) -> Option<Reply> {
    let Harness {
        runtime,
        listening,
        client,
    } = &mut *harness();
    let request = client::request(method, listening.address(), path, headers, body)?;
    let reply = runtime.block_on(client.send(request));
    check(&reply);
    Some(reply)
}

/// Posts `body` to `path`; returns status and body of the reply.
///
/// # Panics
/// As [`call`].
pub fn post(path: &str, headers: Headers<'_>, body: &[u8]) -> (StatusCode, axum::body::Bytes) {
    let reply = call(Method::POST, path, headers, &[body]).expect("legal headers");
    (reply.status, reply.body)
}

/// Writes bytes to a connection of their own, in these pieces; returns the statuses of the replies.
///
/// # Panics
/// When a reply reports a failure of the server.
pub fn exchange(pieces: &[&[u8]]) -> Vec<u16> {
    let harness = harness();
    let address = harness.listening.address();
    let exchange = client::exchange(address, pieces);
    let bytes = harness.runtime.block_on(exchange);
    let statuses = client::statuses(&bytes);
    for status in &statuses {
        let status = StatusCode::from_u16(*status).expect("a status");
        assert!(!is_blame(status), "{status}: {}", bytes.escape_ascii());
    }
    statuses
}

/// Undoes the changes of operators to the model `pair`, and loads what was unloaded.
pub fn restore() {
    let change = |method: Method, path: &str| call(method, path, &[], &[b"{}"]).expect("a reply");
    let rollouts = change(Method::GET, "/api/rollouts").json();
    let rollouts = rollouts.as_array().expect("a list");
    if rollouts.len() > MAX_ROLLOUTS {
        *harness() = Harness::start();
        return;
    }
    for rollout in rollouts {
        let id = rollout["id"].as_str().expect("an id");
        if id != server::ROLLOUT && rollout["model"] == "pair" {
            change(Method::POST, &format!("/api/rollouts/{id}/abort"));
        }
    }
    for path in ["traffic", "default", "labels/l"] {
        change(Method::DELETE, &format!("/api/models/pair/{path}"));
    }
    let index = change(Method::POST, "/v2/repository/index").json();
    for entry in index.as_array().expect("a list") {
        if let (Some(name), false) = (entry["name"].as_str(), entry["state"] == "READY") {
            change(Method::POST, &format!("/v2/repository/models/{name}/load"));
        }
    }
}

/// Returns a message with the prefix of gRPC.
#[must_use]
pub fn grpc_frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Splits bytes at the first newline; without one, the second part is empty.
#[must_use]
pub fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n');
    match at {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// Returns whether a status reports a failure of the server: operators may unload a model, and a
/// caller may set a deadline.
fn is_blame(status: StatusCode) -> bool {
    let expected = [
        StatusCode::NOT_IMPLEMENTED,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    status.is_server_error() && !expected.contains(&status)
}

fn check(reply: &Reply) {
    let Reply {
        status,
        headers,
        trailers,
        body,
    } = reply;
    assert!(!is_blame(*status), "{status}: {body:?}");
    for fields in [headers, trailers] {
        assert!(!is_grpc_blame(fields), "{fields:?}");
    }
    let is_json = |value: &HeaderValue| value.as_bytes().starts_with(b"application/json");
    if headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        let read = serde_json::from_slice::<IgnoredAny>(body);
        assert!(read.is_ok(), "{read:?}: {body:?}");
    }
}

fn is_grpc_blame(fields: &HeaderMap) -> bool {
    let status = fields.get("grpc-status");
    status.is_some_and(|status| GRPC_SERVER_ERRORS.iter().any(|blame| status == blame))
}
