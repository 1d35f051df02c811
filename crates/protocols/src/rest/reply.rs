//! The reply of a handler.
//!
//! Decision: a reply is a whole body, or a stream of events. A stream has no size, is not
//! compressed, because an event would wait for those that fill a block, and is marked as
//! [`StreamingReply`], so that the listener ends it when a drain begins.

use std::fmt;

use bytes::Bytes;
use contract::{Code, Error, Result, ServedBy};
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;

use crate::status::Success;

/// The reply of a handler.
#[derive(Debug)]
pub(crate) struct Reply {
    /// `None` for success; otherwise the code whose status the reply has, with a body of its own.
    pub(crate) code: Option<Code>,
    /// The kind of success.
    pub(crate) success: Success,
    /// The media type of the body.
    pub(crate) content_type: HeaderValue,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The version that answered, for replies to inferences.
    pub(crate) served_by: Option<ServedBy>,
    /// Set when the body may be compressed as the caller offers.
    pub(crate) may_be_compressed: bool,
    /// The body.
    pub(crate) body: ReplyBody,
}

/// The body of a reply.
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Events, sent as they come.
    Events(BoxStream<'static, Bytes>),
}

/// The mark of a response whose body ends no later than at the beginning of a drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamingReply;

impl Reply {
    /// Returns a JSON reply.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::new(HeaderValue::from_static("application/json"), body)
    }

    /// Returns a JSON reply with a serialized document.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(crate) fn serialized(document: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(document);
        body.map(Self::json)
            .map_err(|error| Error::internal(error.to_string()))
    }

    /// Returns a reply of any media type.
    pub(crate) fn new(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self {
            code: None,
            success: Success::Done,
            content_type,
            headers: Vec::new(),
            served_by: None,
            may_be_compressed: true,
            body: ReplyBody::Whole(body.into()),
        }
    }

    /// Returns a stream of server-sent events, each with its line of name and its lines of data.
    pub(crate) fn events(events: BoxStream<'static, Bytes>) -> Self {
        // The second header is for proxies that would buffer some events before they pass them on.
        let headers = vec![
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ),
        ];
        Self {
            headers,
            body: ReplyBody::Events(events),
            ..Self::new(HeaderValue::from_static("text/event-stream"), Bytes::new())
        }
    }

    /// Returns the reply with the version and arm that answered.
    pub(crate) fn with_served_by(self, served_by: ServedBy) -> Self {
        Self {
            served_by: Some(served_by),
            ..self
        }
    }

    /// Returns the reply, never compressed.
    pub(crate) fn uncompressed(self) -> Self {
        Self {
            may_be_compressed: false,
            ..self
        }
    }

    /// Returns the reply with the status of `code`.
    pub(crate) fn with_code(self, code: Code) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// Returns the reply with the status for a created resource.
    pub(crate) fn created(self) -> Self {
        Self {
            success: Success::Created,
            ..self
        }
    }

    /// Returns the reply with the status for accepted work.
    pub(crate) fn accepted(self) -> Self {
        Self {
            success: Success::Accepted,
            ..self
        }
    }
}

impl ReplyBody {
    /// Returns the bytes, when all of them are known.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Events(_) => None,
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Events(_) => f.write_str("Events"),
        }
    }
}
