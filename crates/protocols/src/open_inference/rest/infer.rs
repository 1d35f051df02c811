//! `POST /v2/models/{model}/infer`: decode, run, encode.
//!
//! Decision: large bodies are converted on a thread that may block, so that the conversion of one
//! request delays no other one.

use std::sync::Arc;

use contract::Result;
use http::{HeaderMap, header};

use super::decode::{Decoded, decode};
use super::encode::encode;
use super::raw::raw_request;
use super::target;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::open_inference::binary::{Parts, split};
use crate::open_inference::inference::{Origin, run};
use crate::open_inference::metadata::route;
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;
use crate::tensor_json::write::NonFinite;

/// Answers one inference request.
pub(crate) async fn infer(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let (name, version) = target(&call)?;
    let route = route(&ctx, &name, &version)?;
    let Decoded { id, inference } = match split(&call.headers, call.body)? {
        Parts::Json(json, blobs) => {
            let limits = JsonLimits::from(&ctx.limits);
            offload(json.len(), move || decode(&json, blobs, &limits)).await?
        }
        Parts::Raw(body) => {
            let is_binary = !accepts_json(&call.headers);
            let mut decoded = Decoded::default();
            decoded.inference.parameters.binary_data_output = Some(is_binary);
            decoded.inference.inputs = vec![raw_request(&route.info, body)?];
            decoded
        }
    };
    let is_binary_default = inference.parameters.binary_data_output.unwrap_or_default();
    let wanted: Vec<_> = inference
        .outputs
        .iter()
        .map(|output| output.parameters.binary_data.unwrap_or(is_binary_default))
        .collect();
    let origin = Origin {
        id: call.id,
        received: call.received,
        deadline: call.deadline,
    };
    let response = run(&ctx, route, origin, inference).await?;
    let style = NonFinite::of(ctx.server.is_strict_json);
    offload(output_bytes(&response), move || {
        let is_binary = |index: usize| wanted.get(index).copied().unwrap_or(is_binary_default);
        encode(id.as_deref(), &response, is_binary, style)
    })
    .await
}

/// Whether the caller names JSON among the media types that it takes; a wildcard names nothing.
fn accepts_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("application/json"))
}
