//! The frame of every REST call: read the body, run the handler, write the reply or the error.
//!
//! Decision: handlers see no web framework. They take a [`Call`] and give a [`Reply`] or an
//! `Error`; a [`Dialect`] says how its errors look. So limits, ids and statuses are written once.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use bytes::Bytes;
use contract::{Code, Error, Event, ModelName, RequestId, Result, VersionSelector};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use crate::context::Context;
use crate::status::status;

/// How a family of routes shows its errors.
pub(crate) trait Dialect: 'static {
    /// Its name in metrics.
    const NAME: &'static str;

    /// The JSON body of an error.
    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8>;
}

/// One request with its whole body.
#[derive(Debug)]
pub(crate) struct Call {
    /// The id, from the caller or made here.
    pub(crate) id: RequestId,
    /// The query string, without the question mark.
    pub(crate) query: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The parameters of the path, percent-decoded.
    pub(crate) path: Vec<(String, String)>,
    /// The body, decompressed.
    pub(crate) body: Bytes,
    /// When the head of the request had been read.
    pub(crate) received: Instant,
    /// `received` plus the header `x-request-timeout-ms`, when the caller sent one.
    pub(crate) deadline: Option<Instant>,
}

impl Call {
    /// The parameter of the path with this name.
    pub(crate) fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// `{model}` of the path.
    pub(crate) fn model(&self) -> Result<Option<ModelName>> {
        self.path_parameter("model").map(ModelName::new).transpose()
    }

    /// `{version}` of the path.
    pub(crate) fn version(&self) -> VersionSelector {
        VersionSelector::parse(self.path_parameter("version"))
    }

    /// The first value of a query parameter, percent-decoded.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What a handler gives.
#[derive(Debug)]
pub(crate) struct Reply {
    /// `None` for success; otherwise the code whose status the reply has, with a body of its own.
    pub(crate) code: Option<Code>,
    /// The media type of the body.
    pub(crate) content_type: HeaderValue,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// A JSON reply.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::new(HeaderValue::from_static("application/json"), body)
    }

    /// A reply of any media type.
    pub(crate) fn new(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self {
            code: None,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The same reply with the status of `code`.
    pub(crate) fn with_code(self, code: Code) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }
}

/// Turns a handler of one dialect into what the router takes.
pub(crate) fn handler<D, F, Fut>(
    ctx: &Arc<Context>,
    run: F,
) -> impl Fn(Request<Body>) -> futures_util::future::BoxFuture<'static, Response<Body>>
+ Clone
+ Send
+ Sync
+ 'static
where
    D: Dialect,
    F: Fn(Arc<Context>, Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply>> + Send + 'static,
{
    let ctx = Arc::clone(ctx);
    move |request| {
        let (ctx, run) = (Arc::clone(&ctx), run.clone());
        Box::pin(async move {
            let received = tokio::time::Instant::now().into_std();
            let id = RequestId::new("0");
            let result = match read_call(&ctx, request, id.clone(), received).await {
                Ok(call) => run(Arc::clone(&ctx), call).await,
                Err(error) => Err(error),
            };
            let error = match &result {
                Ok(reply) => reply.code,
                Err(error) => Some(error.code()),
            };
            let latency = tokio::time::Instant::now().into_std() - received;
            ctx.observe.observe(&Event::CallFinished {
                dialect: D::NAME,
                error,
                latency,
            });
            encode::<D>(result, &id)
        })
    }
}

async fn read_call(
    ctx: &Context,
    request: Request<Body>,
    id: RequestId,
    received: Instant,
) -> Result<Call> {
    let (mut parts, body) = request.into_parts();
    let path = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Error::invalid("the path is not UTF-8 after percent-decoding"))?
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let body = axum::body::to_bytes(body, ctx.limits.body_bytes)
        .await
        .map_err(|_| {
            let limit = ctx.limits.body_bytes;
            Error::new(
                Code::PayloadTooLarge,
                format!("the body is over the limit of {limit} bytes"),
            )
        })?;
    Ok(Call {
        id,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        deadline: deadline(&parts.headers, received)?,
        headers: parts.headers,
        path,
        body,
        received,
    })
}

fn deadline(headers: &HeaderMap, received: Instant) -> Result<Option<Instant>> {
    let Some(value) = headers.get("x-request-timeout-ms") else {
        return Ok(None);
    };
    let millis: Option<u64> = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let millis = millis.ok_or_else(|| {
        Error::invalid("header `x-request-timeout-ms` must be a whole number of milliseconds")
    })?;
    Ok(received.checked_add(Duration::from_millis(millis)))
}

fn encode<D: Dialect>(result: Result<Reply>, id: &RequestId) -> Response<Body> {
    let (reply, retry_after) = match result {
        Ok(reply) => (reply, None),
        Err(error) => {
            let body = D::encode_error(&error, id);
            (
                Reply::json(body).with_code(error.code()),
                error.retry_after(),
            )
        }
    };
    let mut response = Response::new(Body::from(reply.body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, reply.content_type);
    headers.extend(reply.headers);
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert("x-request-id", id);
    }
    if let Some(code) = reply.code {
        let status = status(code);
        if status.is_retryable {
            let seconds = retry_after
                .unwrap_or_default()
                .as_secs_f64()
                .ceil()
                .max(1.0);
            headers.extend(
                HeaderValue::from_str(&seconds.to_string())
                    .map(|value| (header::RETRY_AFTER, value))
                    .ok(),
            );
        }
        *response.status_mut() = status.http;
    }
    response
}
