//! The frame of every REST call: its id, its time, its event, its log lines, its reply.
//!
//! Rule: whatever happens in a handler, the caller gets a reply and the observer one event: a panic
//! becomes `internal`, a caller that hangs up becomes `cancelled`.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use contract::{Code, Error, Event, RequestId, ServedBy};
use futures_util::FutureExt;
use http::request::Parts;
use http::{Method, Request, Response, Uri};
use tracing::Level;

use super::refusal::Refusal;
use super::{Dialect, Reply, compress, log_millis, request_id, write};
use crate::attributes::served_by_fields;
use crate::context::Context;

/// A request whose body is still to be read.
#[derive(Debug)]
pub(super) struct UnreadCall<B> {
    pub(super) id: RequestId,
    pub(super) received: Instant,
    pub(super) parts: Parts,
    pub(super) body: B,
}

/// Runs `work` on a request and returns a reply in every case.
pub(super) async fn with_frame<D, B, F>(
    ctx: Arc<Context>,
    request: Request<B>,
    work: F,
) -> Response<Body>
where
    D: Dialect,
    F: AsyncFnOnce(Arc<Context>, UnreadCall<B>) -> Result<Reply, Refusal>,
{
    let (parts, body) = request.into_parts();
    let id = request_id(&parts.headers);
    let coding = compress::accepted_coding(&parts.headers);
    let mut record = CallRecord::begin(&ctx, D::NAME, &id, &parts);
    let unread = UnreadCall {
        id: id.clone(),
        received: record.received,
        parts,
        body,
    };
    let run = AssertUnwindSafe(work(Arc::clone(&ctx), unread));
    let result = match run.catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(Error::internal(describe_panic(&*panic)).into()),
    };
    if let Err(refusal) = &result {
        log_error(&refusal.error, &id);
    }
    let mut reply = write::EncodedReply::new::<D>(result, &id);
    if let Some(name) = compress::negotiate(&mut reply, coding) {
        compress::compress(&mut reply, coding, name);
    }
    if let Err(error) = reply.count(&ctx.memory.replies) {
        log_error(&error, &id);
        reply = write::EncodedReply::new::<D>(Err(error.into()), &id);
    }
    let n_bytes = reply.body.whole().map_or(0, Bytes::len);
    record.record_served_by(reply.served_by.as_ref());
    let code = reply.code;
    let response = reply.into_response(&id);
    record.finish(code, response.status().as_u16(), n_bytes);
    response
}

fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("handler panicked: {}", text.unwrap_or("no message"))
}

/// Logs an error once, where it is handled. Only our own failures are worth an alert: refusals
/// under load and mistakes of callers are frequent.
fn log_error(error: &Error, id: &RequestId) {
    let code = error.code().as_str();
    let diagnostic = error.diagnostic();
    let is_our_failure = [Code::Internal, Code::EngineFailed, Code::EngineLost];
    if is_our_failure.contains(&error.code()) {
        tracing::error!(%id, code, %error, diagnostic, "call failed");
    } else {
        tracing::debug!(%id, code, %error, diagnostic, "call refused");
    }
}

/// The event and the access log line of one call; emitted on drop for a caller that hung up.
struct CallRecord<'a> {
    ctx: &'a Context,
    dialect: &'static str,
    id: RequestId,
    received: Instant,
    line: Option<(Method, Uri)>,
    served_by: Option<ServedBy>,
    is_finished: bool,
}

impl<'a> CallRecord<'a> {
    fn begin(ctx: &'a Context, dialect: &'static str, id: &RequestId, parts: &Parts) -> Self {
        let is_logged = tracing::enabled!(target: "access", Level::INFO);
        Self {
            ctx,
            dialect,
            id: id.clone(),
            received: now(),
            line: is_logged.then(|| (parts.method.clone(), parts.uri.clone())),
            served_by: None,
            is_finished: false,
        }
    }

    /// Stores the version and arm that answer, when the call will be logged.
    fn record_served_by(&mut self, served_by: Option<&ServedBy>) {
        if self.line.is_some() {
            self.served_by = served_by.cloned();
        }
    }

    fn finish(&mut self, code: Option<Code>, status: u16, n_bytes: usize) {
        self.is_finished = true;
        let latency = now().saturating_duration_since(self.received);
        self.ctx.observe.observe(&Event::CallFinished {
            dialect: self.dialect,
            error: code,
            latency,
        });
        if let Some((method, uri)) = &self.line {
            let line = AccessLine {
                method,
                path: uri.path(),
                status,
                served_by: self.served_by.as_ref(),
                latency,
                n_bytes,
            };
            line.write(&self.id);
        }
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            let status = crate::status::status(Code::Cancelled).http.as_u16();
            self.finish(Some(Code::Cancelled), status, 0);
        }
    }
}

struct AccessLine<'a> {
    method: &'a Method,
    path: &'a str,
    status: u16,
    served_by: Option<&'a ServedBy>,
    latency: Duration,
    n_bytes: usize,
}

impl AccessLine<'_> {
    fn write(&self, id: &RequestId) {
        let latency_ms = log_millis(self.latency);
        let [model, version, arm] = served_by_fields(self.served_by);
        tracing::info!(
            target: "access",
            %id,
            method = %self.method,
            path = self.path,
            status = self.status,
            model,
            version,
            arm,
            latency_ms,
            bytes = self.n_bytes,
            "call answered"
        );
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
