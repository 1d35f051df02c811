//! Conversion of the result of a handler to the response.

use std::convert::Infallible;

use axum::body::Body;
use contract::{Code, Error, RequestId, ServedBy};
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Response, header};

use super::id::REQUEST_ID;
use super::refusal::Refusal;
use super::{Dialect, Reply, ReplyBody, StreamingReply};
use crate::attributes::insert_served_by;
use crate::memory_budget::MemoryBudget;
use crate::status::{ADMISSION_LEVEL, Success, status, success};

const LEVEL: HeaderName = HeaderName::from_static(ADMISSION_LEVEL);

/// A reply or an error, ready to be written.
#[derive(Debug)]
pub(super) struct EncodedReply {
    pub(super) code: Option<Code>,
    pub(super) success: Success,
    pub(super) content_type: HeaderValue,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) served_by: Option<ServedBy>,
    pub(super) may_be_compressed: bool,
    pub(super) body: ReplyBody,
}

impl EncodedReply {
    /// Encodes the result of a call; the dialect encodes errors.
    pub(super) fn new<D: Dialect>(result: Result<Reply, Refusal>, id: &RequestId) -> Self {
        let (reply, retry_after) = match result {
            Ok(reply) => (reply, None),
            Err(Refusal { error, header }) => {
                let body = D::encode_error(&error, id);
                let mut reply = Reply::json(body).with_code(error.code());
                reply.headers.extend(header);
                reply.served_by = error.served_by().cloned();
                if let Some(level) = error.admission_level() {
                    let level = HeaderValue::from(level.number());
                    reply.headers.push((LEVEL, level));
                }
                (reply, error.retry_after())
            }
        };
        let mut headers = reply.headers;
        if reply.code.is_some_and(|code| status(code).is_retryable) {
            let wait = retry_after.unwrap_or_default();
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.push((header::RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        }
        Self {
            code: reply.code,
            success: reply.success,
            content_type: reply.content_type,
            headers,
            served_by: reply.served_by,
            may_be_compressed: reply.may_be_compressed,
            body: reply.body,
        }
    }

    /// Counts the body in its budget until it is sent.
    pub(super) fn count(&mut self, budget: &MemoryBudget) -> Result<(), Error> {
        if let ReplyBody::Whole(bytes) = &mut self.body {
            *bytes = budget.count(std::mem::take(bytes))?;
        }
        Ok(())
    }

    /// Builds the response.
    pub(super) fn into_response(self, id: &RequestId) -> Response<Body> {
        let mut response = match self.body {
            ReplyBody::Whole(bytes) => Response::new(Body::from(bytes)),
            ReplyBody::Events(events) => {
                let events = events.map(Ok::<_, Infallible>);
                let mut response = Response::new(Body::from_stream(events));
                response.extensions_mut().insert(StreamingReply);
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.extend(self.headers);
        if let Some(served_by) = self.served_by {
            insert_served_by(served_by, headers);
        }
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        *response.status_mut() = match self.code {
            Some(code) => status(code).http,
            None => success(self.success),
        };
        response
    }
}
