//! Time limit for the arrival of a message.
//!
//! Decision: it is the limit of REST bodies, so a caller that sends a byte now and then cannot hold
//! a call open.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use contract::{Code, Error};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::status::status;

/// Returns the error for a message that did not arrive within `limit`.
pub(super) fn late(limit: Duration) -> Error {
    Error::new(
        Code::RequestTimeout,
        format!(
            "the message did not arrive within {} seconds",
            limit.as_secs_f64()
        ),
    )
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
            let error = late(self.limit);
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
