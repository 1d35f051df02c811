//! Bodies of gRPC calls as they arrive, and the messages of a stream.
//!
//! Rule: a stream may be idle between messages for as long as it likes, but a message that has begun
//! must be complete within the time of a body, and counts in the memory for bodies until then.
//! Compressed messages are inflated here, because the library inflates them on the I/O thread. What
//! is not a message of ours goes to the library as it is, which refuses it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use contract::{Error, Result};
use http::HeaderMap;
use http::request::Parts;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, Sleep, sleep};

use super::framing::{PREFIX_BYTES, Prefix, message_coding, prefix, unpacked};
use super::status::status;
use super::timeout_body::{TimeoutBody, late};
use crate::context::Context;
use crate::memory_budget::MemoryBudget;
use crate::offload::INLINE_BYTES;
use crate::rest::{BodyBuffer, Coding};

/// The only method of the inference service with client streaming.
const STREAM_METHOD: &str = "/ModelStreamInfer";
/// The services with client streaming.
const STREAM_SERVICE: &str = "/grpc.reflection.";

/// Wraps the body of a call: all of it must arrive in time, or each message of a stream.
pub(super) fn with_timeout(ctx: &Context, parts: &Parts, body: Body) -> Body {
    let path = parts.uri.path();
    if body.is_end_stream() {
        return body;
    }
    match path.ends_with(STREAM_METHOD) || path.starts_with(STREAM_SERVICE) {
        true => Body::new(MessageBody::new(ctx, &parts.headers, body)),
        false => Body::new(TimeoutBody::new(
            body,
            Instant::now(),
            ctx.limits.body_timeout,
        )),
    }
}

/// The body of a stream, cut into its messages.
#[derive(Debug)]
pub(super) struct MessageBody {
    body: Body,
    coding: Coding,
    max_bytes: usize,
    time_limit: Duration,
    budget: MemoryBudget,
    /// The bytes of the message that arrives, with its prefix.
    arriving: BodyBuffer,
    /// The size of that message, when it is known.
    n_expected: usize,
    /// The time in which that message must be complete, once it had to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// A whole message, of which the library has not taken this.
    whole: Bytes,
    /// Is true when other tasks get their turn before the next piece of a large message.
    must_yield: bool,
    /// Is true when the rest goes to the library as it is.
    is_raw: bool,
}

impl MessageBody {
    /// Wraps the body of a call with these headers; a coding that is not supported is left to the
    /// library.
    pub(super) fn new(ctx: &Context, headers: &HeaderMap, body: Body) -> Self {
        let coding = message_coding(headers);
        Self {
            body,
            coding: coding.unwrap_or(Coding::Identity),
            max_bytes: ctx.limits.body_bytes,
            time_limit: ctx.limits.body_timeout,
            budget: ctx.memory.bodies.clone(),
            arriving: BodyBuffer::default(),
            n_expected: 0,
            timer: None,
            whole: Bytes::new(),
            must_yield: false,
            is_raw: coding.is_none(),
        }
    }

    /// Moves the arriving message to the whole ones when it is complete.
    fn complete(&mut self) -> Result<()> {
        let n_arrived = self.arriving.as_slice().len();
        let n_bytes = match prefix(self.arriving.as_slice(), self.coding, self.max_bytes) {
            Prefix::Known(n_bytes) if n_bytes <= n_arrived => n_bytes,
            Prefix::Known(n_bytes) => {
                self.n_expected = n_bytes;
                return Ok(());
            }
            Prefix::Missing => return Ok(()),
            Prefix::Unsupported => {
                self.pass_on();
                return Ok(());
            }
        };
        let mut arrived = std::mem::take(&mut self.arriving).finish();
        self.timer = None;
        let framed = arrived.split_to(n_bytes);
        self.arriving.push(arrived, 0, &self.budget)?;
        self.whole = match framed.first() {
            Some(0) | None => framed,
            Some(_) => {
                let message = unpacked(&framed, self.coding, self.max_bytes, &self.budget)?;
                plain(&message)
            }
        };
        Ok(())
    }

    /// Leaves everything from here on to the library.
    fn pass_on(&mut self) {
        self.is_raw = true;
        self.timer = None;
        self.whole = std::mem::take(&mut self.arriving).finish();
    }

    /// Returns the next piece of the whole message.
    fn poll_piece(&mut self, cx: &TaskContext<'_>) -> Poll<Frame<Bytes>> {
        if std::mem::take(&mut self.must_yield) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n_bytes = self.whole.len().min(INLINE_BYTES);
        let piece = self.whole.split_to(n_bytes);
        self.must_yield = !self.whole.is_empty();
        Poll::Ready(Frame::data(piece))
    }

    /// Returns the error of a message that takes too long; pending between messages.
    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Error> {
        if self.arriving.as_slice().is_empty() {
            return Poll::Pending;
        }
        let limit = self.time_limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| late(limit))
    }
}

/// Returns a message with the prefix of one without compression.
fn plain(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(message.len()));
    framed.put_u8(0);
    // Inflating is limited by the limit of a message, which has 32 bits.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

impl http_body::Body for MessageBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let refused = |error: &Error| Poll::Ready(Some(Err(status(error).into())));
        loop {
            if !this.whole.is_empty() {
                return this.poll_piece(cx).map(|piece| Some(Ok(piece)));
            }
            if this.is_raw {
                let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
            if let Err(error) = this.complete() {
                return refused(&error);
            }
            if !this.whole.is_empty() || this.is_raw {
                continue;
            }
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
                let error = ready!(this.poll_timer(cx));
                return refused(&error);
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    if let Err(error) = this.arriving.push(data, this.n_expected, &this.budget) {
                        return refused(&error);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                // The end, also of a message that is not complete; trailers have no meaning.
                Some(Ok(Err(_))) | None => this.pass_on(),
            }
        }
    }
}
