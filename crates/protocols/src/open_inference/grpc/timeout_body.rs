//! Time limit for the arrival of a message.
//!
//! Decision: it is the limit of REST bodies, so a caller that sends a byte now and then cannot hold
//! a call open. Calls with a long stream of messages have no such limit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use contract::{Code, Error};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::status::status;

/// The only method of the inference service with client streaming.
const STREAM_METHOD: &str = "/ModelStreamInfer";
/// The services with client streaming.
const STREAM_SERVICE: &str = "/grpc.reflection.";

/// Wraps `body`, which must be complete within `limit`, unless the call at `path` is a stream.
pub(super) fn with_timeout(path: &str, body: Body, limit: Duration) -> Body {
    if path.ends_with(STREAM_METHOD) || path.starts_with(STREAM_SERVICE) || body.is_end_stream() {
        return body;
    }
    Body::new(TimeoutBody::new(body, Instant::now(), limit))
}

/// A body that must be complete within a time limit.
#[derive(Debug)]
pub(super) struct TimeoutBody<B> {
    body: B,
    end: Instant,
    /// Created when the body is first pending, which a small one never is.
    timer: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl<B> TimeoutBody<B> {
    /// Wraps `body`, whose time begins at `start`.
    pub(super) fn new(body: B, start: Instant, limit: Duration) -> Self {
        Self {
            body,
            end: start + limit,
            timer: None,
            limit,
        }
    }
}

impl<B> http_body::Body for TimeoutBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let end = self.end;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().poll(cx).map(|()| {
            let error = Error::new(
                Code::RequestTimeout,
                format!(
                    "the message did not arrive within {} seconds",
                    self.limit.as_secs_f64()
                ),
            );
            Some(Err(status(&error).into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
