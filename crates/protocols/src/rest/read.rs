//! Conversion of a request to a [`Call`]: cheap checks come before the body is read.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, RawPathParams};
use contract::{Error, Result};
use http::HeaderMap;

use super::body::{self, RequestBody};
use super::decompress::{Coding, inflate};
use super::frame::UnreadCall;
use super::refusal::Refusal;
use super::{Call, EarlyAdmission, Head, PathParameters};
use crate::context::Context;

/// Reads a call; `path` are the parameters of its path, or `None` when the router knows them. With
/// them the call is an inference, and `early_admission` reads from its head what is certain.
pub(super) async fn call<B: RequestBody>(
    ctx: &Context,
    unread: UnreadCall<B>,
    path: Option<PathParameters>,
    early_admission: fn(&Head<'_>) -> Option<EarlyAdmission>,
) -> Result<Call, Refusal> {
    let UnreadCall {
        id,
        received,
        mut parts,
        body,
    } = unread;
    let checked = async {
        let deadline = deadline(&parts.headers, received)?;
        let coding = Coding::of_body(&parts.headers)?;
        let path = match path {
            Some(path) => {
                let head = Head {
                    query: parts.uri.query().unwrap_or_default(),
                    headers: &parts.headers,
                    path: &path,
                };
                if let (Some(deadline), Some(early_admission)) = (deadline, early_admission(&head))
                {
                    early_admission.refuse(ctx, deadline)?;
                }
                path
            }
            None => path_parameters(&mut parts).await?,
        };
        Ok((path, deadline, coding))
    };
    let (path, deadline, coding) = match checked.await {
        Ok(checked) => checked,
        Err(refusal) => {
            body::discard(&parts.headers, body);
            return Err(refusal);
        }
    };
    let sent = body::read(&ctx.limits, &ctx.memory.bodies, &parts.headers, body).await?;
    let body = match coding {
        Coding::Identity => sent,
        Coding::Gzip | Coding::Deflate | Coding::Zstd => {
            let inflated = inflate(coding, sent, ctx.limits.body_bytes)?;
            ctx.memory.bodies.count(inflated)?
        }
    };
    Ok(Call {
        id,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        path,
        body,
        received,
        deadline,
    })
}

async fn path_parameters(parts: &mut http::request::Parts) -> Result<PathParameters> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await;
    let parameters =
        parameters.map_err(|_| Error::invalid("the path is not UTF-8 after percent-decoding"))?;
    Ok(parameters
        .iter()
        .map(|(key, value)| (Cow::Owned(key.to_owned()), value.to_owned()))
        .collect())
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
