//! Inference for a gRPC message, shared by the unary call and the stream.

use bytes::Bytes;
use contract::{InferResponse, Result, ServedBy, Target};
use http::HeaderMap;

use super::attributes::GrpcAttributes;
use super::decode::Form;
use super::early_admission::target;
use super::generated::inference as wire;
use super::{contents, decode, encode};
use crate::context::Context;
use crate::offload::offload;
use crate::open_inference::inference::{CallInfo, run};
use crate::routed::refused;

/// The result of an inference before it is encoded.
#[derive(Debug)]
pub(super) struct InferenceResult {
    /// The version and arm that answered.
    pub(super) served_by: ServedBy,
    /// The answer.
    pub(super) response: InferResponse,
    /// The id that the answer repeats.
    pub(super) id: String,
    /// The form of the answer.
    pub(super) form: Form,
}

impl InferenceResult {
    /// Encodes the result as a message.
    pub(super) fn into_message(self) -> wire::ModelInferResponse {
        encode::encode(&self.response, self.id, self.form)
    }
}

/// Runs one inference. `metadata` is that of the call.
pub(super) async fn infer(
    ctx: &Context,
    metadata: &HeaderMap,
    call_info: CallInfo,
    mut request: wire::ModelInferRequest,
) -> Result<InferenceResult> {
    let (name, version) = target(&request.model_name, &request.model_version)?;
    let target = Target {
        model: Some(name),
        version,
    };
    let attributes = GrpcAttributes {
        metadata,
        parameters: &request.parameters,
    };
    let route = ctx.infer.route_for(&target, &attributes)?;
    let id = std::mem::take(&mut request.id);
    let (inference, form) = offload(typed_bytes(&request), || decode::decode(request))
        .map_err(|error| refused(ctx, &route, call_info.received, error))?;
    let (served_by, response) = run(ctx, route, call_info, inference).await?;
    Ok(InferenceResult {
        served_by,
        response,
        id,
        form,
    })
}

/// Returns the size of the tensors of a request.
pub(super) fn tensor_bytes(request: &wire::ModelInferRequest) -> usize {
    let raw = request.raw_input_contents.iter().map(Bytes::len);
    raw.sum::<usize>().saturating_add(typed_bytes(request))
}

/// Returns the size of the typed tensors of a request.
fn typed_bytes(request: &wire::ModelInferRequest) -> usize {
    let typed = request.inputs.iter().flat_map(|input| &input.contents);
    typed.map(contents::n_bytes).sum()
}
