//! `POST /v2/models/{model}/infer`: decode, run, encode.

use std::sync::Arc;

use contract::{Result, Route, Target};
use http::{HeaderMap, header};

use super::decode::{Decoded, Envelope, decode};
use super::encode::encode;
use super::raw::raw_request;
use super::target;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::open_inference::binary::{Parts, split};
use crate::open_inference::inference::{CallInfo, run};
use crate::open_inference::parameters::RequestParameters;
use crate::rest::{Call, EarlyAdmission, Reply};
use crate::routed::refused;
use crate::tensor_json::JsonLimits;

/// Handles one inference request.
pub(crate) async fn infer(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let call_info = CallInfo {
        id: call.id.clone(),
        received: call.received,
        deadline: call.deadline,
    };
    let style = call.non_finite(&ctx.server)?;
    let (route, decoded) = read(&ctx, call)?;
    let Decoded { id, inference } = decoded;
    let is_binary_default = inference.parameters.binary_data_output.unwrap_or_default();
    let binary_outputs: Vec<_> = inference
        .outputs
        .iter()
        .map(|output| output.parameters.binary_data.unwrap_or(is_binary_default))
        .collect();
    let (served_by, response) = run(&ctx, route, call_info, inference).await?;
    let n_bytes = output_bytes(&response);
    ctx.memory.replies.check(n_bytes)?;
    let reply = offload(n_bytes, move || {
        let is_binary = |index: usize| {
            binary_outputs
                .get(index)
                .copied()
                .unwrap_or(is_binary_default)
        };
        encode(id.as_deref(), &response, is_binary, style)
    });
    Ok(reply?.with_served_by(served_by))
}

/// Picks the version for a request, and decodes its inputs.
fn read(ctx: &Context, mut call: Call) -> Result<(Route, Decoded)> {
    let (name, version) = target(&call)?;
    let target = Target {
        model: Some(name),
        version,
    };
    let limits = JsonLimits::from(&ctx.limits);
    match split(&call.headers, std::mem::take(&mut call.body))? {
        Parts::Json(json, blobs) => offload(json.len(), || {
            let route = ctx
                .infer
                .route_for(&target, &call.attributes(&json, limits))?;
            let refused = |error| refused(ctx, &route, call.received, error);
            let envelope = Envelope::read(&json, &limits).map_err(refused)?;
            refuse_early(ctx, &call, target, &envelope.parameters)?;
            let decoded = decode(envelope, blobs, &limits).map_err(refused)?;
            Ok((route, decoded))
        }),
        Parts::Raw(body) => {
            let route = ctx
                .infer
                .route_for(&target, &call.attributes(b"", limits))?;
            let is_binary = !accepts_json(&call.headers);
            let mut decoded = Decoded::default();
            decoded.inference.parameters.binary_data_output = Some(is_binary);
            let input = raw_request(&route.info, body)
                .map_err(|error| refused(ctx, &route, call.received, error))?;
            decoded.inference.inputs = vec![input];
            Ok((route, decoded))
        }
    }
}

/// Refuses a request early that would also be refused after its tensors were read.
fn refuse_early(
    ctx: &Context,
    call: &Call,
    target: Target,
    parameters: &RequestParameters,
) -> Result<()> {
    let Some(deadline) = parameters.deadline(call.received, call.deadline) else {
        return Ok(());
    };
    let early_admission = EarlyAdmission {
        target,
        priority: Some(parameters.priority),
    };
    early_admission.refuse(ctx, deadline)
}

/// Returns whether the caller accepts JSON by name; a wildcard does not count.
fn accepts_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("application/json"))
}
