//! From the result of a handler to the response.

use axum::body::Body;
use bytes::Bytes;
use contract::{Answerer, Code, RequestId};
use http::{HeaderName, HeaderValue, Response, header};

use super::frame::Refusal;
use super::id::REQUEST_ID;
use super::{Dialect, Reply};
use crate::caller::tell;
use crate::status::{ACCEPTED, status};

/// A reply or an error, ready to be written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: Option<Code>,
    pub(super) is_accepted: bool,
    pub(super) content_type: HeaderValue,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) answerer: Option<Answerer>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The answer to a call; errors look as the dialect says.
    pub(super) fn new<D: Dialect>(result: Result<Reply, Refusal>, id: &RequestId) -> Self {
        let (reply, retry_after, header) = match result {
            Ok(reply) => (reply, None, None),
            Err(Refusal { error, header }) => {
                let body = D::encode_error(&error, id);
                let reply = Reply::json(body).with_code(error.code());
                (reply, error.retry_after(), header)
            }
        };
        let mut headers = reply.headers;
        headers.extend(header);
        if reply.code.is_some_and(|code| status(code).is_retryable) {
            let wait = retry_after.unwrap_or_default();
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.push((header::RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        }
        Self {
            code: reply.code,
            is_accepted: reply.is_accepted,
            content_type: reply.content_type,
            headers,
            answerer: reply.answerer,
            body: reply.body,
        }
    }

    /// The response.
    pub(super) fn into_response(self, id: &RequestId) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.extend(self.headers);
        if let Some(answerer) = self.answerer {
            tell(answerer, headers);
        }
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        match self.code {
            Some(code) => *response.status_mut() = status(code).http,
            None if self.is_accepted => *response.status_mut() = ACCEPTED,
            None => {}
        }
        response
    }
}
