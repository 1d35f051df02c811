//! Encoding of an answer as `ModelInferResponse`.
//!
//! Rule: the answer is raw unless the caller asks for the typed form by `binary_data_output: false`
//! and every element type of it can be typed; an answer is never half raw and half typed, which no
//! client could read.

use contract::{InferResponse, NamedTensor};

use super::contents::{can_be_typed, contents};
use super::decode::Form;
use super::generated::inference::ModelInferResponse;
use super::generated::inference::model_infer_response::InferOutputTensor;

/// Returns the message for `response`, to the request with this `id`.
pub(super) fn encode(response: &InferResponse, id: String, form: Form) -> ModelInferResponse {
    let can_be_typed = |output: &NamedTensor| can_be_typed(output.tensor.element_type());
    let form = match response.outputs.iter().all(can_be_typed) {
        true => form,
        false => Form::Raw,
    };
    let outputs = response.outputs.iter();
    ModelInferResponse {
        model_name: response.info.model.to_string(),
        model_version: response.info.version.to_string(),
        id,
        outputs: outputs.clone().map(|named| output(named, form)).collect(),
        raw_output_contents: match form {
            Form::Raw => outputs.map(|named| named.tensor.data().clone()).collect(),
            Form::Typed => Vec::new(),
        },
        ..ModelInferResponse::default()
    }
}

fn output(output: &NamedTensor, form: Form) -> InferOutputTensor {
    InferOutputTensor {
        name: output.name.clone(),
        datatype: output.tensor.element_type().name().to_owned(),
        shape: output.tensor.shape().wire_dims().collect(),
        contents: (form == Form::Typed).then(|| contents(&output.tensor)),
        ..InferOutputTensor::default()
    }
}
