//! `POST /v2/models/{model}/infer`: decode, run, encode.

use std::sync::Arc;

use contract::Result;
use http::{HeaderMap, header};

use super::decode::{Decoded, decode};
use super::encode::encode;
use super::raw::raw_request;
use super::target;
use crate::context::Context;
use crate::open_inference::binary::{Parts, split};
use crate::open_inference::inference::{Inference, Origin, run};
use crate::open_inference::metadata::route;
use crate::open_inference::parameters::RequestParameters;
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;
use crate::tensor_json::write::NonFinite;

/// Answers one inference request.
pub(super) async fn infer(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let (name, version) = target(&call)?;
    let route = route(&ctx, &name, &version)?;
    let Decoded { id, inference } = match split(&call.headers, call.body)? {
        Parts::Json(json, blobs) => decode(&json, blobs, &JsonLimits::from(&ctx.limits))?,
        Parts::Raw(body) => Decoded {
            id: None,
            inference: Inference {
                inputs: vec![raw_request(&route.info, body)?],
                outputs: Vec::new(),
                parameters: RequestParameters {
                    binary_data_output: Some(!accepts_json(&call.headers)),
                    ..RequestParameters::default()
                },
            },
        },
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
    let is_binary = |index: usize| wanted.get(index).copied().unwrap_or(is_binary_default);
    let style = NonFinite::of(ctx.server.is_strict_json);
    encode(id.as_deref(), &response, is_binary, style)
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
