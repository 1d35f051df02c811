//! `POST /predict`: one inference.

use std::sync::Arc;

use contract::{RequestId, Result};
use tokio::time::Instant;

use super::decode::PredictBody;
use super::encode;
use super::media::require_json;
use super::target::target;
use crate::context::Context;
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;
use crate::tensor_json::write::NonFinite;

/// Answers `POST /predict` and its longer forms.
pub(super) async fn predict(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let body = answer(&ctx, &call, call.id.clone(), &call.body).await?;
    Ok(Reply::json(body))
}

/// Answers one body, which is the body of `call` or a part of it.
pub(super) async fn answer(
    ctx: &Context,
    call: &Call,
    id: RequestId,
    json: &[u8],
) -> Result<Vec<u8>> {
    let limits = JsonLimits::from(&ctx.limits);
    let body = PredictBody::read(json, &limits)?;
    let target = target(call, body.model.as_deref(), body.version.as_deref())?;
    let route = ctx.infer.route(&target)?;
    let request = body.into_request(&route.info, call, id, &limits)?;
    let start = Instant::now();
    let response = ctx.infer.infer(route, request).await?;
    let style = NonFinite::of(ctx.server.is_strict_json);
    encode::prediction(&response, start.elapsed(), style)
}
