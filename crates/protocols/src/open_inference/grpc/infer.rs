//! One inference of a gRPC message, shared by the unary call and the stream.

use contract::{Answerer, InferResponse, Result, Target};
use http::HeaderMap;

use super::caller::GrpcCaller;
use super::decode::Form;
use super::early::target;
use super::generated::inference as wire;
use super::{decode, encode};
use crate::context::Context;
use crate::open_inference::inference::{Origin, run};

/// What an inference gave, before it is a message.
#[derive(Debug)]
pub(super) struct Inferred {
    /// Who answered.
    pub(super) answerer: Answerer,
    /// The answer.
    pub(super) response: InferResponse,
    /// The id that the caller wants to see again.
    pub(super) id: String,
    /// The form in which the caller wants the answer.
    pub(super) form: Form,
}

impl Inferred {
    /// The message that tells it.
    pub(super) fn into_message(self) -> wire::ModelInferResponse {
        encode::encode(&self.response, self.id, self.form)
    }
}

/// Runs one inference. `metadata` is that of the call.
pub(super) async fn infer(
    ctx: &Context,
    metadata: &HeaderMap,
    origin: Origin,
    mut request: wire::ModelInferRequest,
) -> Result<Inferred> {
    let (name, version) = target(&request.model_name, &request.model_version)?;
    let target = Target {
        model: Some(name),
        version,
    };
    let caller = GrpcCaller {
        metadata,
        parameters: &request.parameters,
    };
    let mut route = ctx.infer.route_for(&target, &caller)?;
    let answerer = std::mem::take(&mut route.answerer);
    let id = std::mem::take(&mut request.id);
    let (inference, form) = decode::decode(request)?;
    let response = run(ctx, route, origin, inference).await?;
    Ok(Inferred {
        answerer,
        response,
        id,
        form,
    })
}
