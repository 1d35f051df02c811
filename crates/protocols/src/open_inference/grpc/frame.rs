//! The frame of every gRPC call: id, clock, deadline, panics, statuses and the event.
//!
//! Decision: it surrounds the services instead of their methods, because a message that is too
//! large or malformed never reaches a method: the gRPC library answers it, with its own text and
//! status, which are replaced here. The caller of the frame gets the call information for the
//! methods, and decides how to pass it on.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use contract::{Code, Error, Event, Result, ServedBy};
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use tonic::Status;
use tracing::Level;

use super::DIALECT;
use super::message_body::with_timeout;
use super::status::{code_of, failure, status};
use crate::attributes::served_by_fields;
use crate::context::{Context, Limits};
use crate::open_inference::inference::CallInfo;
use crate::rest::{log_millis, request_id};
use crate::status::unknown_path;

/// The metadata key of the id of a call, in both directions.
const ID_KEY: HeaderName = HeaderName::from_static("x-request-id");
/// The metadata key of the time that the caller gives.
pub(super) const TIMEOUT_KEY: &str = "grpc-timeout";
/// The metadata key of the status in the head of a reply, present only in replies without messages.
pub(super) const STATUS_KEY: HeaderName = HeaderName::from_static("grpc-status");
/// The metadata key of the supported compressions, in the refusal of another one.
const ACCEPT_ENCODING_KEY: &str = "grpc-accept-encoding";

/// The mark of a reply whose messages are counted one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedPerMessage;

/// Runs the frame as a layer of the router. The methods find the [`CallInfo`] of a call among the
/// extensions of its request.
pub(super) async fn layer(
    State(ctx): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let app = Arc::clone(&ctx);
    let run = |call_info: CallInfo, request: Request| {
        let (mut parts, body) = request.into_parts();
        let body = with_timeout(&app, &parts, body);
        parts.extensions.insert(call_info);
        next.run(Request::from_parts(parts, body))
    };
    with_frame(ctx, request, run).await
}

/// Runs one call with `next`, and completes its reply.
pub(super) async fn with_frame<B, F, Fut>(
    ctx: Arc<Context>,
    request: http::Request<B>,
    next: F,
) -> Response
where
    F: FnOnce(CallInfo, http::Request<B>) -> Fut,
    Fut: Future<Output = Response>,
{
    let mut record = CallRecord::begin(&ctx, now());
    let uri = request.uri().clone();
    let mut call_info = CallInfo {
        id: request_id(request.headers()),
        received: record.received,
        deadline: None,
    };
    let mut response = match deadline(request.headers(), call_info.received) {
        Ok(deadline) => {
            call_info.deadline = deadline;
            let run = AssertUnwindSafe(next(call_info.clone(), request));
            let answer = run.catch_unwind().await;
            answer.unwrap_or_else(|_| failure(&call_info, &panic_error()).into_http())
        }
        Err(error) => failure(&call_info, &error).into_http(),
    };
    let code = normalize_status(&ctx.limits, uri.path(), &mut response);
    match response.extensions().get::<CountedPerMessage>() {
        Some(CountedPerMessage) => record.disarm(),
        None => record.finish(code),
    }
    if is_logged() {
        log_access(&call_info, uri.path(), code, response.extensions().get());
    }
    if let Ok(id) = HeaderValue::from_str(call_info.id.as_str()) {
        response.headers_mut().insert(ID_KEY, id);
    }
    response
}

/// Returns the code of a call that failed before its first message, and normalizes its status.
fn normalize_status(limits: &Limits, path: &str, response: &mut Response) -> Option<Code> {
    if !response.headers().contains_key(STATUS_KEY) {
        return None;
    }
    replace_library_status(limits, path, response);
    code_of(response.headers())
}

fn is_logged() -> bool {
    tracing::enabled!(target: "access", Level::INFO)
}

/// Stores the version that answers in the extensions of a reply, when the call will be logged.
pub(super) fn keep_for_log(served_by: &ServedBy, extensions: &mut Extensions) {
    if is_logged() {
        extensions.insert(served_by.clone());
    }
}

fn log_access(call_info: &CallInfo, path: &str, code: Option<Code>, served_by: Option<&ServedBy>) {
    let [model, version, arm] = served_by_fields(served_by);
    let latency_ms = log_millis(now().saturating_duration_since(call_info.received));
    tracing::info!(
        target: "access",
        id = %call_info.id,
        path,
        code = code.map_or("ok", Code::as_str),
        model,
        version,
        arm,
        latency_ms,
        "call answered"
    );
}

/// The event of one answer, emitted on drop for a caller that disconnected.
#[derive(Debug)]
pub(super) struct CallRecord<'a> {
    ctx: &'a Context,
    received: Instant,
    is_armed: bool,
}

impl<'a> CallRecord<'a> {
    pub(super) fn begin(ctx: &'a Context, received: Instant) -> Self {
        Self {
            ctx,
            received,
            is_armed: true,
        }
    }

    pub(super) fn finish(&mut self, error: Option<Code>) {
        self.is_armed = false;
        self.ctx.observe.observe(&Event::CallFinished {
            dialect: DIALECT,
            error,
            latency: now().saturating_duration_since(self.received),
        });
    }

    fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.finish(Some(Code::Cancelled));
        }
    }
}

/// Returns the time of the clock that tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the error for a panic; its message is already in the log.
pub(super) fn panic_error() -> Error {
    Error::internal("handler panicked")
}

/// Replaces a status of the gRPC library by ours.
fn replace_library_status(limits: &Limits, path: &str, response: &mut Response) {
    let Some(library_status) = Status::from_header_map(response.headers()) else {
        return;
    };
    if library_status.code() == tonic::Code::Ok || code_of(response.headers()).is_some() {
        return;
    }
    let encodings = response.headers_mut().remove(ACCEPT_ENCODING_KEY);
    // The library gives no text for a method that a service does not have.
    let is_unknown =
        library_status.code() == tonic::Code::Unimplemented && library_status.message().is_empty();
    let error = match is_unknown {
        true => unknown_path(path),
        false => library_error(limits, &library_status),
    };
    *response = status(&error).into_http::<Body>();
    if let Some(encodings) = encodings {
        response
            .headers_mut()
            .insert(ACCEPT_ENCODING_KEY, encodings);
    }
}

/// Returns the error for a status of the gRPC library. It only checks messages, so each of its
/// statuses is a mistake of the client.
pub(super) fn library_error(limits: &Limits, library_status: &Status) -> Error {
    use tonic::Code as Grpc;
    let code = match library_status.code() {
        Grpc::OutOfRange | Grpc::ResourceExhausted => {
            let limit = limits.body_bytes;
            return Error::new(
                Code::PayloadTooLarge,
                format!("the message is over the limit of {limit} bytes (`max_body_bytes`)"),
            );
        }
        Grpc::Unimplemented => Code::Unsupported,
        Grpc::Cancelled => Code::Cancelled,
        Grpc::Ok
        | Grpc::Unknown
        | Grpc::InvalidArgument
        | Grpc::DeadlineExceeded
        | Grpc::NotFound
        | Grpc::AlreadyExists
        | Grpc::PermissionDenied
        | Grpc::FailedPrecondition
        | Grpc::Aborted
        | Grpc::Internal
        | Grpc::Unavailable
        | Grpc::DataLoss
        | Grpc::Unauthenticated => Code::InvalidRequest,
    };
    Error::new(code, library_status.message().to_owned())
}

/// Parses the deadline from `grpc-timeout`: up to 8 digits and a unit.
fn deadline(headers: &HeaderMap, received: Instant) -> Result<Option<Instant>> {
    let Some(value) = headers.get(TIMEOUT_KEY) else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(parse_timeout);
    let timeout = timeout.ok_or_else(|| {
        Error::invalid(format!(
            "metadata `{TIMEOUT_KEY}`: expected up to 8 digits and one of H, M, S, m, u, n, got \
             {value:?}"
        ))
    })?;
    Ok(received.checked_add(timeout))
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(value * 3600)),
        'M' => Some(Duration::from_secs(value * 60)),
        'S' => Some(Duration::from_secs(value)),
        'm' => Some(Duration::from_millis(value)),
        'u' => Some(Duration::from_micros(value)),
        'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("5u", Some(Duration::from_micros(5))),
            ("5n", Some(Duration::from_nanos(5))),
            ("0m", Some(Duration::ZERO)),
            ("", None),
            ("m", None),
            ("5", None),
            ("5s", None),
            ("-5m", None),
            ("+5m", None),
            ("123456789m", None),
            ("5é", None),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|(text, expected)| parse_timeout(text) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
