//! Inference independent of the transport: run it, check the answer, rank classes.
//!
//! Decision: the limit of a batch is checked here and not left to the batcher, because the protocol
//! promises a refusal where a batcher could also split the request.

use std::time::Instant;

use contract::{
    Error, InferRequest, InferResponse, ModelInfo, NamedTensor, RequestId, Result, Route, ServedBy,
};

use super::classification::classify;
use super::parameters::{OutputParameters, RequestParameters};
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::routed::{infer, refused};

/// A decoded request.
#[derive(Debug, Default)]
pub(crate) struct Inference {
    /// The inputs, in any order.
    pub(crate) inputs: Vec<NamedTensor>,
    /// The requested outputs in their order; empty for all.
    pub(crate) outputs: Vec<RequestedOutput>,
    /// The parameters of the request.
    pub(crate) parameters: RequestParameters,
}

/// An output that the caller named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedOutput {
    /// Its name.
    pub(crate) name: String,
    /// Its parameters.
    pub(crate) parameters: OutputParameters,
}

/// Properties of the call from the transport.
#[derive(Clone, Debug)]
pub(crate) struct CallInfo {
    /// The id of the call, which is not the `id` that the answer repeats.
    pub(crate) id: RequestId,
    /// The time at which the head of the request had been read.
    pub(crate) received: Instant,
    /// The deadline of the transport.
    pub(crate) deadline: Option<Instant>,
}

/// Runs `inference` on the version of `route`; the outputs come in the order of the request, with
/// classes in place of the scores where the caller asked for them. Returns the version and arm that
/// answered, too.
pub(crate) async fn run(
    ctx: &Context,
    route: Route,
    call_info: CallInfo,
    inference: Inference,
) -> Result<(ServedBy, InferResponse)> {
    check_batch(&route.info, &inference.inputs)
        .map_err(|error| refused(ctx, &route, call_info.received, error))?;
    let Inference {
        inputs,
        outputs,
        parameters,
    } = inference;
    let request = InferRequest {
        id: call_info.id,
        inputs,
        outputs: outputs.iter().map(|output| output.name.clone()).collect(),
        deadline: parameters.deadline(call_info.received, call_info.deadline),
        priority: parameters.priority,
        parameters: parameters.others,
    };
    let (served_by, response) = infer(ctx, route, request).await?;
    check_outputs(&response, &outputs)?;
    let response = offload(output_bytes(&response), || classified(response, &outputs))?;
    Ok((served_by, response))
}

/// Puts classes in place of the scores where the caller asked for them.
fn classified(mut response: InferResponse, outputs: &[RequestedOutput]) -> Result<InferResponse> {
    for (given, requested) in response.outputs.iter_mut().zip(outputs) {
        if let Some(count) = requested.parameters.classification {
            given.tensor = classify(&response.info, &given.name, &given.tensor, count)?;
        }
    }
    Ok(response)
}

/// Checks that all inputs of a batching model have the same number of rows, and not too many.
fn check_batch(info: &ModelInfo, inputs: &[NamedTensor]) -> Result<()> {
    let Some(max) = info.max_request_rows else {
        return Ok(());
    };
    let mut first: Option<(&str, usize)> = None;
    for NamedTensor { name, tensor } in inputs {
        let spec = info.signature.input(name);
        // A wrong rank is reported as such, by the check against the signature.
        if spec.is_none_or(|(_, spec)| spec.dims.len() != tensor.shape().rank()) {
            continue;
        }
        let rows = tensor.n_rows();
        if rows > max.get() {
            return Err(Error::invalid(format!(
                "input `{name}`: inference request batch-size must be <= {max} for `{}`, got \
                 {rows}",
                info.model
            )));
        }
        let (other, expected) = *first.get_or_insert((name, rows));
        if rows != expected {
            return Err(Error::invalid(format!(
                "input `{name}`: the first dimension is {rows}, but {expected} in input \
                 `{other}`; all inputs of a batch must agree"
            )));
        }
    }
    Ok(())
}

/// Checks that no requested output is missing, so that an answer is never silently shorter.
fn check_outputs(response: &InferResponse, requested: &[RequestedOutput]) -> Result<()> {
    let given = response.outputs.iter().map(|output| output.name.as_str());
    let is_complete = match requested.is_empty() {
        true => {
            let all = &response.info.signature.outputs;
            given.eq(all.iter().map(|spec| spec.name.as_str()))
        }
        false => given.eq(requested.iter().map(|output| output.name.as_str())),
    };
    match is_complete {
        true => Ok(()),
        false => Err(Error::internal(format!(
            "version `{}` of `{}` returned other outputs than requested",
            response.info.version, response.info.model
        ))),
    }
}
