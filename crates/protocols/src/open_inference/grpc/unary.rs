//! `ModelInfer` without the service that the gRPC library generates.
//!
//! Decision: nearly every call is one whole message, which is read and written here for a fraction
//! of the cost of the library's streams. Every other call (too large, broken off, more than one
//! message, with trailers) goes to the generated service unchanged, with the bytes already read put
//! back, so each rule stays in one place. Rejected: refusing such calls here, which would repeat
//! every text and status.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use contract::{Code, Error, Result};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use prost::Message;
use tokio::time::Instant;
use tower::Service;

use super::codec::{decode, decoded_bytes};
use super::early_admission::refuse_early;
use super::frame::{STATUS_KEY, keep_for_log};
use super::framing::{PREFIX_BYTES, Prefix, message_coding, prefix, unpacked};
use super::generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::infer::{InferenceResult, infer};
use super::service::InferenceService;
use super::status::failure;
use super::timeout_body::TimeoutBody;
use crate::attributes::insert_served_by;
use crate::context::Context;
use crate::memory_budget::MemoryBudget;
use crate::offload::{offload, output_bytes};
use crate::open_inference::inference::CallInfo;
use crate::rest::{BodyBuffer, Coding, RequestBody};

/// The media type of a reply.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// The status of a successful call.
const OK: HeaderValue = HeaderValue::from_static("0");

/// Handles a call of `ModelInfer`, by `service` when it is not a plain one.
pub(super) async fn run<B>(
    ctx: Arc<Context>,
    mut service: GrpcInferenceServiceServer<InferenceService>,
    call_info: CallInfo,
    request: Request<B>,
) -> Response
where
    B: RequestBody,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let start = Instant::from_std(call_info.received);
    let mut body = TimeoutBody::new(body, start, ctx.limits.body_timeout);
    let (limit, bodies) = (ctx.limits.body_bytes, &ctx.memory.bodies);
    let read = match message_coding(&parts.headers) {
        Some(coding) => {
            let framed = read_message(&mut body, coding, limit, bodies).await;
            framed.map(|framed| unpacked(&framed?, coding, limit, bodies))
        }
        None => Err(PartialBody::default()),
    };
    let partial = match read {
        Ok(message) => return run_message(&ctx, &parts.headers, &call_info, message).await,
        Err(partial) => partial,
    };
    parts.extensions.insert(call_info);
    let request = Request::from_parts(parts, Body::new(partial.replay(body)));
    // Boxed, so that the many plain calls do not carry the state of the service.
    match Box::pin(service.call(request)).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Answers a whole message.
async fn run_message(
    ctx: &Context,
    metadata: &HeaderMap,
    call_info: &CallInfo,
    message: Result<Bytes>,
) -> Response {
    let request = message.and_then(|message| {
        refuse_early(ctx, call_info, &message)?;
        offload(decoded_bytes(&message), || decode(message))
    });
    let answer = match request {
        Ok(request) => infer(ctx, metadata, call_info.clone(), request).await,
        Err(error) => Err(error),
    };
    let response = answer.and_then(|result| reply(result, &ctx.memory.replies));
    response.unwrap_or_else(|error| failure(call_info, &error).into_http())
}

/// Reads the only message of a body, with its prefix, or refuses it; returns the bytes read so far
/// when the body is anything else.
async fn read_message<B>(
    body: &mut TimeoutBody<B>,
    coding: Coding,
    limit: usize,
    budget: &MemoryBudget,
) -> std::result::Result<Result<Bytes>, PartialBody>
where
    B: RequestBody,
    B::Error: Into<BoxError>,
{
    let mut buffer = BodyBuffer::default();
    let next_frame = loop {
        let n_bytes = buffer.as_slice().len();
        let expected = match prefix(buffer.as_slice(), coding, limit) {
            Prefix::Missing => None,
            Prefix::Known(expected) if expected >= n_bytes => Some(expected),
            Prefix::Known(_) | Prefix::Unsupported => break NextFrame::Unread,
        };
        let is_whole = expected == Some(n_bytes);
        if is_whole && body.is_end_stream() {
            return Ok(Ok(buffer.finish()));
        }
        match body.frame().await {
            None if is_whole => return Ok(Ok(buffer.finish())),
            None => break NextFrame::End,
            Some(Err(error)) => break NextFrame::Frame(Box::new(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    if let Err(error) = buffer.push(data, expected.unwrap_or_default(), budget) {
                        return Ok(Err(error));
                    }
                }
                Err(trailers) => break NextFrame::Frame(Box::new(Ok(trailers))),
            },
        }
    };
    let bytes = buffer.finish();
    Err(PartialBody { bytes, next_frame })
}

/// The part of a body that was read.
#[derive(Debug, Default)]
struct PartialBody {
    bytes: Bytes,
    next_frame: NextFrame,
}

/// The frame after the bytes that were read.
#[derive(Debug, Default)]
enum NextFrame {
    /// Nothing was read after them.
    #[default]
    Unread,
    /// The end of the body.
    End,
    /// Trailers, or an error.
    Frame(Box<std::result::Result<Frame<Bytes>, BoxError>>),
}

impl PartialBody {
    /// Returns the body as it was before it was read.
    fn replay<B>(self, rest: B) -> ReplayBody<B> {
        let bytes = (!self.bytes.is_empty()).then_some(self.bytes);
        let (next_frame, rest) = match self.next_frame {
            NextFrame::Unread => (None, Some(rest)),
            NextFrame::End => (None, None),
            NextFrame::Frame(frame) => (Some(frame), Some(rest)),
        };
        ReplayBody {
            bytes,
            next_frame,
            rest,
        }
    }
}

/// A body that begins with the part already read.
#[derive(Debug)]
struct ReplayBody<B> {
    bytes: Option<Bytes>,
    next_frame: Option<Box<std::result::Result<Frame<Bytes>, BoxError>>>,
    rest: Option<B>,
}

impl<B> http_body::Body for ReplayBody<B>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BoxError>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(next_frame) = self.next_frame.take() {
            return Poll::Ready(Some(*next_frame));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}

fn reply(mut inference_result: InferenceResult, budget: &MemoryBudget) -> Result<Response> {
    let served_by = std::mem::take(&mut inference_result.served_by);
    let n_bytes = output_bytes(&inference_result.response);
    budget.check(n_bytes)?;
    let data = offload(n_bytes, || framed(&inference_result.into_message()))?;
    let data = budget.count(data)?;
    let mut response = Response::new(Body::new(UnaryReply::Message(data)));
    keep_for_log(&served_by, response.extensions_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    insert_served_by(served_by, headers);
    Ok(response)
}

/// Encodes a message with its prefix.
fn framed(message: &impl Message) -> Result<Bytes> {
    let n_bytes = message.encoded_len();
    let length = u32::try_from(n_bytes).map_err(|_| {
        Error::new(
            Code::PayloadTooLarge,
            format!("the answer has {n_bytes} bytes, more than a gRPC message can hold"),
        )
    })?;
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(n_bytes));
    bytes.put_u8(0);
    bytes.put_u32(length);
    message.encode_raw(&mut bytes);
    Ok(bytes.freeze())
}

/// The body of a reply: the frames still to be sent.
#[derive(Debug)]
enum UnaryReply {
    Message(Bytes),
    Status,
    Nothing,
}

impl http_body::Body for UnaryReply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        let next = match *self {
            Self::Message(_) => Self::Status,
            Self::Status | Self::Nothing => Self::Nothing,
        };
        Poll::Ready(match std::mem::replace(&mut *self, next) {
            Self::Message(data) => Some(Ok(Frame::data(data))),
            Self::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(STATUS_KEY, OK);
                Some(Ok(Frame::trailers(trailers)))
            }
            Self::Nothing => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}
