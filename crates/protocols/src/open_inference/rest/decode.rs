//! An inference request in JSON, with binary tensors behind it.
//!
//! Decision: it is read in two steps. The envelope costs little to read, and shows whether the
//! request comes too late for the tensors to be worth reading.

use contract::{Error, NamedTensor, Parameter, Result};

use super::object::Object;
use crate::open_inference::binary::Blobs;
use crate::open_inference::datatype::{element_type, in_input, raw_input, shape};
use crate::open_inference::inference::{Inference, RequestedOutput};
use crate::open_inference::parameters::{
    OutputParameters, RequestParameters, refuse_shared_memory, size,
};
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{MAX_MEMBERS, array_items, require_utf8};
use crate::tensor_json::read::read_with_shape;

/// A request, and the id that its reply repeats.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// The member `id`.
    pub(super) id: Option<String>,
    /// The rest.
    pub(super) inference: Inference,
}

/// A request of which the tensors have not been read.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    request: Object<'a>,
    id: Option<String>,
    /// Its parameters.
    pub(super) parameters: RequestParameters,
}

impl<'a> Envelope<'a> {
    /// Reads everything but the tensors.
    pub(super) fn read(json: &'a [u8], limits: &'a JsonLimits) -> Result<Self> {
        let path = "the request".to_owned();
        require_utf8(json).map_err(|error| error.in_context(&path))?;
        let request = Object::parse(json, path, limits)?;
        Ok(Self {
            id: request.text("id")?,
            parameters: RequestParameters::new(request.parameters()?)?,
            request,
        })
    }
}

/// Reads the tensors of a request.
pub(super) fn decode(
    envelope: Envelope<'_>,
    mut blobs: Blobs,
    limits: &JsonLimits,
) -> Result<Decoded> {
    let Envelope {
        request,
        id,
        parameters,
    } = envelope;
    request.required("inputs")?;
    let inputs = decode_inputs(request.array("inputs")?, "inputs", &mut blobs, limits)?;
    blobs.finish()?;
    let mut outputs = Vec::new();
    for (index, json) in request.array("outputs")?.into_iter().enumerate() {
        let output = Object::parse(json, format!("`outputs[{index}]`"), limits)?;
        let name = output.required_text("name")?;
        let parameters = OutputParameters::new(&name, output.parameters()?)?;
        outputs.push(RequestedOutput { name, parameters });
    }
    let inference = Inference {
        inputs,
        outputs,
        parameters,
    };
    Ok(Decoded { id, inference })
}

/// Reads an array of tensors with name, datatype, shape and data, which errors call `key`: the
/// inputs of a request, or the outputs of a reply.
pub(crate) fn read_tensors(
    json: &[u8],
    key: &str,
    limits: &JsonLimits,
) -> Result<Vec<NamedTensor>> {
    let tensors = array_items(json, limits, MAX_MEMBERS)
        .map_err(|error| error.in_context(format_args!("`{key}`")))?;
    decode_inputs(tensors, key, &mut Blobs::default(), limits)
}

fn decode_inputs(
    inputs: Vec<&[u8]>,
    key: &str,
    blobs: &mut Blobs,
    limits: &JsonLimits,
) -> Result<Vec<NamedTensor>> {
    let inputs = inputs.into_iter().enumerate();
    inputs
        .map(|(index, json)| {
            let input = Object::parse(json, format!("`{key}[{index}]`"), limits)?;
            decode_input(&input, blobs, limits)
        })
        .collect()
}

fn decode_input(input: &Object<'_>, blobs: &mut Blobs, limits: &JsonLimits) -> Result<NamedTensor> {
    let name = input.required_text("name")?;
    let element_type = element_type(&name, &input.required_text("datatype")?)?;
    let dims: Vec<i64> = serde_json::from_slice(input.required("shape")?).map_err(|_| {
        let message = "Unable to parse 'shape': it must be an array of integers";
        in_input(Error::invalid(message), &name)
    })?;
    let shape = shape(&name, element_type, &dims)?;
    let parameters = input.parameters()?;
    refuse_shared_memory(&parameters).map_err(|error| in_input(error, &name))?;
    match (input.get("data"), parameters.get("binary_data_size")) {
        (Some(json), None) => Ok(NamedTensor {
            tensor: read_with_shape(json, element_type, shape, limits)
                .map_err(|error| in_input(error, &name))?,
            name,
        }),
        (None, Some(value)) => {
            let data = blobs.take(&name, blob_size(&name, value)?)?;
            raw_input(&name, element_type, shape, data)
        }
        (Some(_), Some(_)) => Err(in_input(
            Error::invalid("`data` and `binary_data_size` exclude each other"),
            &name,
        )),
        (None, None) => Err(in_input(
            Error::invalid("`data` is missing, and so is `binary_data_size`"),
            &name,
        )),
    }
}

fn blob_size(input: &str, value: &Parameter) -> Result<usize> {
    size("binary_data_size", value).map_err(|error| in_input(error, input))
}
