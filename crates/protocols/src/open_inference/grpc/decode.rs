//! Decoding of `ModelInferRequest` into an [`Inference`].
//!
//! Decision: raw buffers become tensors as they are, as slices of the receive buffer; everything
//! that the message claims about them is checked before.

use bytes::Bytes;
use contract::{Error, NamedTensor, Parameter, Parameters, Result, Tensor};

use super::contents;
use super::generated::inference::ModelInferRequest;
use super::generated::inference::model_infer_request::{
    InferInputTensor, InferRequestedOutputTensor,
};
use super::parameter::parameters;
use crate::open_inference::datatype::{element_type, in_input, raw_input, shape};
use crate::open_inference::inference::{Inference, RequestedOutput};
use crate::open_inference::parameters::{
    OutputParameters, RequestParameters, refuse_shared_memory,
};

/// Requests an empty last answer, which models with one answer per request do not give.
const EMPTY_FINAL_RESPONSE: &str = "triton_enable_empty_final_response";

/// The form of the elements in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As bytes, one buffer per tensor.
    Raw,
    /// In lists by element type.
    Typed,
}

/// Decodes a message, and returns the form in which its sender expects the answer.
pub(super) fn decode(message: ModelInferRequest) -> Result<(Inference, Form)> {
    let parameters = request_parameters(parameters(message.parameters)?)?;
    // Raw also for a typed request, as Triton answers: the code of its clients reads nothing else.
    let form = match parameters.binary_data_output {
        Some(true) | None => Form::Raw,
        Some(false) => Form::Typed,
    };
    let inputs = match message.raw_input_contents.is_empty() {
        true => typed_inputs(message.inputs)?,
        false => raw_inputs(message.inputs, message.raw_input_contents)?,
    };
    let outputs = message.outputs.into_iter().map(requested_output);
    let inference = Inference {
        inputs,
        outputs: outputs.collect::<Result<_>>()?,
        parameters,
    };
    Ok((inference, form))
}

fn request_parameters(mut parameters: Parameters) -> Result<RequestParameters> {
    match parameters.remove(EMPTY_FINAL_RESPONSE) {
        None | Some(Parameter::Bool(_)) => RequestParameters::new(parameters),
        Some(
            Parameter::Int(_) | Parameter::Uint(_) | Parameter::Double(_) | Parameter::Text(_),
        ) => Err(Error::invalid(format!(
            "parameter `{EMPTY_FINAL_RESPONSE}`: expected `true` or `false` in `bool_param`"
        ))),
    }
}

fn raw_inputs(inputs: Vec<InferInputTensor>, buffers: Vec<Bytes>) -> Result<Vec<NamedTensor>> {
    if inputs.len() != buffers.len() {
        return Err(Error::invalid(format!(
            "`raw_input_contents` holds one buffer per input: expected {}, got {}",
            inputs.len(),
            buffers.len()
        )));
    }
    let raw = |(input, data): (InferInputTensor, Bytes)| {
        if input.contents.is_some() {
            return Err(Error::invalid(format!(
                "input `{}`: `contents` must be left out when `raw_input_contents` is used",
                input.name
            )));
        }
        check_parameters(&input)?;
        let element_type = element_type(&input.name, &input.datatype)?;
        let shape = shape(&input.name, element_type, &input.shape)?;
        raw_input(&input.name, element_type, shape, data)
    };
    inputs.into_iter().zip(buffers).map(raw).collect()
}

fn typed_inputs(inputs: Vec<InferInputTensor>) -> Result<Vec<NamedTensor>> {
    let typed = |input: InferInputTensor| {
        check_parameters(&input)?;
        let element_type = element_type(&input.name, &input.datatype)?;
        let shape = shape(&input.name, element_type, &input.shape)?;
        let tensor: Result<Tensor> =
            contents::tensor(element_type, shape, input.contents.unwrap_or_default());
        Ok(NamedTensor {
            tensor: tensor.map_err(|error| in_input(error, &input.name))?,
            name: input.name,
        })
    };
    inputs.into_iter().map(typed).collect()
}

fn check_parameters(input: &InferInputTensor) -> Result<()> {
    let check = || refuse_shared_memory(&parameters(input.parameters.clone())?);
    check().map_err(|error| in_input(error, &input.name))
}

fn requested_output(output: InferRequestedOutputTensor) -> Result<RequestedOutput> {
    let in_output = |error: Error| error.in_context(format_args!("output `{}`", output.name));
    let parameters = parameters(output.parameters).map_err(in_output)?;
    Ok(RequestedOutput {
        parameters: OutputParameters::new(&output.name, parameters)?,
        name: output.name,
    })
}
