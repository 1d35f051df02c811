//! `POST /predict`: one inference.
//!
//! Decision: route before decode, since the body does not say its element types.

use std::sync::Arc;

use contract::{InferRequest, RequestId, Result, Route, ServedBy};
use tokio::time::Instant;

use super::decode::PredictBody;
use super::encode;
use super::media::require_json;
use super::target::target;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::rest::{Call, Reply};
use crate::routed::{infer, refused};
use crate::tensor_json::JsonLimits;

/// Handles `POST /predict` and its longer forms.
pub(crate) async fn predict(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    require_json(&call)?;
    let prediction = Prediction {
        id: call.id.clone(),
        json: &call.body,
        n_in_call: 1,
    };
    let (served_by, body) = prediction.run(&ctx, &call).await?;
    Ok(Reply::json(body).with_served_by(served_by))
}

/// One of the predictions of a call.
pub(super) struct Prediction<'a> {
    /// Its id.
    pub(super) id: RequestId,
    /// Its body, which is the body of the call or a part of it.
    pub(super) json: &'a [u8],
    /// The predictions of the call, which are converted one after the other on the same thread.
    pub(super) n_in_call: usize,
}

impl Prediction<'_> {
    /// Returns the body of the answer, and the version and arm that answered.
    pub(super) async fn run(self, ctx: &Context, call: &Call) -> Result<(ServedBy, Vec<u8>)> {
        let Self {
            id,
            json,
            n_in_call,
        } = self;
        let style = call.non_finite(&ctx.server)?;
        let n_bytes = json.len().saturating_mul(n_in_call);
        let (route, request) = offload(n_bytes, || decode(ctx, call, id, json))?;
        let start = Instant::now();
        let (served_by, response) = infer(ctx, route, request).await?;
        let latency = start.elapsed();
        let n_bytes = output_bytes(&response).saturating_mul(n_in_call);
        ctx.memory.replies.check(n_bytes)?;
        let body = offload(n_bytes, move || {
            encode::prediction(&response, latency, style)
        });
        Ok((served_by, body?))
    }
}

/// Picks the version for a body, and decodes its inputs.
fn decode(ctx: &Context, call: &Call, id: RequestId, json: &[u8]) -> Result<(Route, InferRequest)> {
    let limits = JsonLimits::from(&ctx.limits);
    let body = PredictBody::read(json, &limits)?;
    let target = target(call, body.model.as_deref(), body.version.as_deref())?;
    let route = ctx
        .infer
        .route_for(&target, &call.attributes(json, limits))?;
    match body.into_request(&route.info, call, id, &limits) {
        Ok(request) => Ok((route, request)),
        Err(error) => Err(refused(ctx, &route, call.received, error)),
    }
}
