//! `POST /predict`: one inference.
//!
//! Decision: route before decode, since the body does not say its element types; large bodies are
//! converted beside the workers.

use std::sync::Arc;

use bytes::Bytes;
use contract::{InferRequest, RequestId, Result, Route, ServedBy};
use tokio::time::Instant;

use super::decode::PredictBody;
use super::encode;
use super::media::require_json;
use super::target::target;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;

/// Handles `POST /predict` and its longer forms.
pub(crate) async fn predict(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let (id, json) = (call.id.clone(), call.body.clone());
    let (served_by, body) = predict_body(&ctx, &Arc::new(call), id, json).await?;
    Ok(Reply::json(body).with_served_by(served_by))
}

/// Answers one body, which is the body of `call` or a part of it, and returns the version and arm
/// that answered.
pub(super) async fn predict_body(
    ctx: &Arc<Context>,
    call: &Arc<Call>,
    id: RequestId,
    json: Bytes,
) -> Result<(ServedBy, Vec<u8>)> {
    let style = call.non_finite(&ctx.server)?;
    let (mut route, request) = {
        let (ctx, call) = (Arc::clone(ctx), Arc::clone(call));
        offload(json.len(), move || decode(&ctx, &call, id, &json)).await?
    };
    let served_by = std::mem::take(&mut route.served_by);
    let start = Instant::now();
    let response = ctx.infer.infer(route, request).await?;
    let latency = start.elapsed();
    let body = offload(output_bytes(&response), move || {
        encode::prediction(&response, latency, style)
    });
    Ok((served_by, body.await?))
}

/// Picks the version for a body, and decodes its inputs.
fn decode(ctx: &Context, call: &Call, id: RequestId, json: &[u8]) -> Result<(Route, InferRequest)> {
    let limits = JsonLimits::from(&ctx.limits);
    let body = PredictBody::read(json, &limits)?;
    let target = target(call, body.model.as_deref(), body.version.as_deref())?;
    let route = ctx
        .infer
        .route_for(&target, &call.attributes(json, limits))?;
    let request = body.into_request(&route.info, call, id, &limits)?;
    Ok((route, request))
}
