//! `ModelInfer` without the service that the gRPC library generates.
//!
//! Decision: nearly every call is one whole message without compression, which is read and written
//! here for a fraction of the cost of the library's streams. Every other call (compressed, too
//! large, broken off, malformed, more than one message, with trailers) goes to the generated
//! service unchanged, with the bytes already read put back, so each rule stays in one place.
//! Rejected: refusing such calls here, which would repeat every text and status.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use contract::{Code, Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use prost::Message;
use tokio::time::Instant;
use tower::Service;

use super::codec::check_fields;
use super::early_admission::refuse_early;
use super::frame::{STATUS_KEY, keep_for_log};
use super::generated::inference::ModelInferRequest;
use super::generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::infer::{InferenceResult, infer};
use super::service::InferenceService;
use super::status::failure;
use super::timeout_body::TimeoutBody;
use crate::attributes::insert_served_by;
use crate::context::Context;
use crate::open_inference::inference::CallInfo;
use crate::rest::RequestBody;

/// The prefix of a message: a byte for compression, and four for its length.
const PREFIX_BYTES: usize = 5;
/// The metadata key of the compression of incoming messages.
const ENCODING_KEY: HeaderName = HeaderName::from_static("grpc-encoding");
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
    let opened = match is_plain(&parts.headers) {
        true => read_message(&mut body, ctx.limits.body_bytes).await,
        false => Err(PartialBody::default()),
    };
    let answered = match opened {
        Ok(message) => run_message(&ctx, &parts.headers, &call_info, message).await,
        Err(partial) => Err(partial),
    };
    let partial = match answered {
        Ok(response) => return response,
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

/// Answers a whole message, or gives it back when it cannot be decoded.
async fn run_message(
    ctx: &Context,
    metadata: &HeaderMap,
    call_info: &CallInfo,
    framed: Bytes,
) -> std::result::Result<Response, PartialBody> {
    let refused = refuse_early(ctx, call_info, message(&framed));
    let answer = match refused {
        Ok(()) => infer(ctx, metadata, call_info.clone(), decode(framed)?).await,
        Err(error) => Err(error),
    };
    let response = answer.and_then(reply);
    Ok(response.unwrap_or_else(|error| failure(call_info, &error).into_http()))
}

/// Returns a message without its prefix.
fn message(framed: &[u8]) -> &[u8] {
    framed.get(PREFIX_BYTES..).unwrap_or_default()
}

/// Decodes a message, or returns its bytes when it cannot be decoded.
fn decode(framed: Bytes) -> std::result::Result<ModelInferRequest, PartialBody> {
    let message = framed.slice(PREFIX_BYTES.min(framed.len())..);
    if check_fields(&message).is_ok()
        && let Ok(message) = ModelInferRequest::decode(message)
    {
        return Ok(message);
    }
    Err(PartialBody {
        bytes: framed,
        next_frame: NextFrame::End,
    })
}

/// Returns whether the messages come without compression.
fn is_plain(headers: &HeaderMap) -> bool {
    headers
        .get(ENCODING_KEY)
        .is_none_or(|encoding| encoding == "identity")
}

/// The information about a message in its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// The prefix has not arrived.
    Missing,
    /// The message has this many bytes with its prefix.
    Known(usize),
    /// The message is compressed, or over the limit.
    Unsupported,
}

fn prefix(bytes: &[u8], limit: usize) -> Prefix {
    match bytes {
        [] | [0] | [0, _] | [0, _, _] | [0, _, _, _] => Prefix::Missing,
        [0, a, b, c, d, ..] => match usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])) {
            Ok(n_bytes) if n_bytes <= limit => Prefix::Known(PREFIX_BYTES.saturating_add(n_bytes)),
            Ok(_) | Err(_) => Prefix::Unsupported,
        },
        [_, ..] => Prefix::Unsupported,
    }
}

/// Reads the only message of a body, with its prefix; returns the bytes read so far when the body
/// is anything else.
async fn read_message<B>(
    body: &mut TimeoutBody<B>,
    limit: usize,
) -> std::result::Result<Bytes, PartialBody>
where
    B: RequestBody,
    B::Error: Into<BoxError>,
{
    let mut buffer = BodyBuffer::default();
    let next_frame = loop {
        let n_bytes = buffer.as_slice().len();
        let expected = match prefix(buffer.as_slice(), limit) {
            Prefix::Missing => None,
            Prefix::Known(expected) if expected >= n_bytes => Some(expected),
            Prefix::Known(_) | Prefix::Unsupported => break NextFrame::Unread,
        };
        let is_whole = expected == Some(n_bytes);
        if is_whole && body.is_end_stream() {
            return Ok(buffer.finish());
        }
        match body.frame().await {
            None if is_whole => return Ok(buffer.finish()),
            None => break NextFrame::End,
            Some(Err(error)) => break NextFrame::Frame(Box::new(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => buffer.push(data, expected.unwrap_or_default()),
                Err(trailers) => break NextFrame::Frame(Box::new(Ok(trailers))),
            },
        }
    };
    Err(PartialBody {
        bytes: buffer.finish(),
        next_frame,
    })
}

/// The bytes of a message as they arrive; those of a single piece are not copied.
#[derive(Debug, Default)]
struct BodyBuffer {
    single: Bytes,
    joined: BytesMut,
}

impl BodyBuffer {
    fn as_slice(&self) -> &[u8] {
        match self.joined.is_empty() {
            true => &self.single,
            false => &self.joined,
        }
    }

    /// Appends `data` of a message that will have `n_expected` bytes.
    fn push(&mut self, data: Bytes, n_expected: usize) {
        if self.as_slice().is_empty() {
            self.single = data;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(n_expected);
            self.joined.extend_from_slice(&self.single);
        }
        self.joined.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        match self.joined.is_empty() {
            true => self.single,
            false => self.joined.freeze(),
        }
    }
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

fn reply(mut inference_result: InferenceResult) -> Result<Response> {
    let served_by = std::mem::take(&mut inference_result.served_by);
    let data = framed(&inference_result.into_message())?;
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
