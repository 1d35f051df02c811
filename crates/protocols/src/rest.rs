//! The frame of every REST call: read the body, run the handler, write the reply or the error.
//!
//! Decision: handlers see no web framework. They take a [`Call`] and return a [`Reply`] or an
//! `Error`; a [`Dialect`] encodes its errors. So limits, ids and statuses are written once.

mod body;
mod compress;
mod decompress;
mod error_body;
mod frame;
mod id;
mod read;
mod refusal;
mod reply;
mod write;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use contract::{Error, ModelName, RequestId, Result, Target, Urgency, VersionSelector};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use serde::Deserialize;

pub(crate) use body::{BodyBuffer, RequestBody};
pub(crate) use decompress::{Coding, inflate};
pub(crate) use error_body::{native_error, open_inference_error};
pub(crate) use id::{new_request_id, request_id};
pub(crate) use reply::{Reply, ReplyBody, StreamingReply};

use crate::attributes::RestAttributes;
use crate::context::{Context, ServerInfo};
use crate::offload::offload;
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::require_utf8;
use crate::tensor_json::write::NonFinite;

/// The query parameter for the spelling of NaN and infinities, named like the setting.
pub(crate) const STRICT_JSON: &str = "strict_json";

/// The encoding of errors, and early admission, of a family of routes.
pub(crate) trait Dialect: 'static {
    /// The name in metrics.
    const NAME: &'static str;

    /// Returns the JSON body of an error.
    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8>;

    /// Returns the certain parts of an inference from its head.
    fn early_admission(_head: &Head<'_>) -> Option<EarlyAdmission> {
        None
    }
}

/// The certain properties of an inference before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EarlyAdmission {
    /// The target.
    pub(crate) target: Target,
    /// The priority; `None` while the unread part may give one.
    pub(crate) priority: Option<u32>,
}

impl EarlyAdmission {
    /// Refuses an inference early that would also be refused after it was read and decoded.
    pub(crate) fn refuse(&self, ctx: &Context, deadline: Instant) -> Result<()> {
        let priority = self.priority;
        ctx.infer
            .refuse_early(&self.target, Urgency { deadline, priority })
    }
}

/// The head of an inference whose body has not been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The query string, empty when there is none.
    pub(crate) query: &'a str,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The parameters of the path.
    pub(crate) path: &'a [(Cow<'static, str>, String)],
}

impl Head<'_> {
    /// Returns the target of the path; `None` for an invalid model name.
    pub(crate) fn path_target(&self) -> Option<Target> {
        let find = |name: &str| self.path.iter().find(|(key, _)| key == name);
        let model = find("model").map(|(_, model)| ModelName::new(model));
        let version = find("version").map(|(_, version)| version.as_str());
        Some(Target {
            model: model.transpose().ok()?,
            version: VersionSelector::parse(version),
        })
    }
}

/// The parameters of a path by name, percent-decoded.
pub(crate) type PathParameters = Vec<(Cow<'static, str>, String)>;

/// One request with its whole body.
#[derive(Debug)]
pub(crate) struct Call {
    /// The id, sent by the caller or made here.
    pub(crate) id: RequestId,
    /// The query string, without the question mark.
    pub(crate) query: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The parameters of the path.
    pub(crate) path: PathParameters,
    /// The body, decompressed.
    pub(crate) body: Bytes,
    /// The time at which the head of the request had been read.
    pub(crate) received: Instant,
    /// `received` plus the header `x-request-timeout-ms`, when the caller sent one.
    pub(crate) deadline: Option<Instant>,
}

impl Call {
    /// Returns the parameter of the path with this name.
    pub(crate) fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns `{model}` of the path.
    pub(crate) fn model(&self) -> Result<Option<ModelName>> {
        self.path_parameter("model").map(ModelName::new).transpose()
    }

    /// Returns `{model}` of a path that has one.
    ///
    /// # Errors
    /// `invalid_request` for a name that no model can have.
    pub(crate) fn required_model(&self) -> Result<ModelName> {
        self.model()?
            .ok_or_else(|| Error::internal("route has no path parameter `{model}`"))
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `invalid_request`, naming the key that is wrong, such as `split[0].weight`.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        offload(self.body.len(), || self.parse_json())
    }

    fn parse_json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        require_utf8(&self.body)?;
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            // The path of the key is more useful than the position in the text.
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            match path.as_str() {
                "." => Error::invalid(message).in_context("the body"),
                path => Error::invalid(message).in_context(format_args!("`{path}`")),
            }
        })?;
        json.end()
            .map_err(|_| Error::invalid("the body has more text after its JSON value"))?;
        Ok(value)
    }

    /// Returns `{version}` of the path.
    pub(crate) fn version(&self) -> VersionSelector {
        VersionSelector::parse(self.path_parameter("version"))
    }

    /// Returns the attributes for assignment, with the body or the part of it that is the request.
    pub(crate) fn attributes<'a>(
        &'a self,
        json: &'a [u8],
        limits: JsonLimits,
    ) -> RestAttributes<'a> {
        RestAttributes {
            headers: &self.headers,
            query: &self.query,
            json,
            limits,
        }
    }

    /// Returns the spelling of NaN and infinities in the reply: that of the query, otherwise that of
    /// the server.
    ///
    /// # Errors
    /// `invalid_request` for a value of `strict_json` that is not a boolean.
    pub(crate) fn non_finite(&self, server: &ServerInfo) -> Result<NonFinite> {
        match self.query_parameter(STRICT_JSON).as_deref() {
            None => Ok(NonFinite::of(server.is_strict_json)),
            Some("true") => Ok(NonFinite::Null),
            Some("false") => Ok(NonFinite::Literal),
            Some(other) => Err(Error::invalid(format!(
                "`{STRICT_JSON}` must be `true` or `false`, got `{}`",
                other.escape_debug()
            ))),
        }
    }

    /// Returns the first value of a query parameter, percent-decoded.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Converts a handler of one dialect for the router.
pub(crate) fn handler<D, F, Fut>(
    ctx: &Arc<Context>,
    run: F,
) -> impl Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Clone + Send + Sync + 'static
where
    D: Dialect,
    F: Fn(Arc<Context>, Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply>> + Send + 'static,
{
    let ctx = Arc::clone(ctx);
    move |request| {
        let (ctx, run) = (Arc::clone(&ctx), run.clone());
        call::<D, _, _, _>(ctx, request, None, run)
    }
}

/// Handles a call; one that bypasses the router brings the parameters of its path.
pub(crate) fn call<D, B, F, Fut>(
    ctx: Arc<Context>,
    request: Request<B>,
    path: Option<PathParameters>,
    run: F,
) -> BoxFuture<'static, Response<Body>>
where
    D: Dialect,
    B: RequestBody,
    F: FnOnce(Arc<Context>, Call) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Reply>> + Send + 'static,
{
    let work = async move |ctx: Arc<Context>, unread| {
        let call = read::call(&ctx, unread, path, D::early_admission).await?;
        Ok(run(ctx, call).await?)
    };
    Box::pin(frame::with_frame::<D, _, _>(ctx, request, work))
}

/// Returns milliseconds for the access log, rounded to the microsecond.
pub(crate) fn log_millis(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}

/// Replies with an error without reading the body.
pub(crate) async fn refuse<D: Dialect, B: RequestBody>(
    ctx: Arc<Context>,
    request: Request<B>,
    error: Error,
) -> Response<Body> {
    frame::with_frame::<D, _, _>(ctx, request, async move |_ctx, unread| {
        body::discard(&unread.parts.headers, unread.body);
        Err(error.into())
    })
    .await
}

#[cfg(test)]
mod tests;
