//! Bodies of `/predict`: from JSON to an inference request.
//!
//! Rule: `data`, or `input`, is the only input; `inputs` names several. A value with one dimension
//! less than the model has, for a model with a batch dimension, is a batch of one row; the reply
//! keeps its batch dimension. Unknown keys are ignored, because callers send fields of their own; a
//! body without any input is refused with a list of its keys.

use std::borrow::Cow;
use std::time::Duration;

use contract::{
    Error, InferRequest, ModelInfo, NamedTensor, RequestId, Result, Shape, Signature, Tensor,
    TensorSpec,
};
use serde::Deserialize;

use crate::rest::Call;
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{excerpt, object_members, require_utf8};
use crate::tensor_json::read::read_nested;

/// The number of keys that an error lists.
const MAX_KEYS_SHOWN: usize = 8;

/// A body whose inputs have not been read yet.
#[derive(Debug)]
pub(crate) struct PredictBody<'a> {
    /// The model, when the body names one.
    pub(crate) model: Option<String>,
    /// The version, when the body names one.
    pub(crate) version: Option<String>,
    inputs: Inputs<'a>,
    outputs: Vec<String>,
    timeout: Option<Duration>,
}

/// The inputs as raw JSON.
#[derive(Debug)]
enum Inputs<'a> {
    /// The value of the only input.
    Only(&'a [u8]),
    /// The values by name.
    Named(Vec<(Cow<'a, str>, &'a [u8])>),
}

/// A version in a body: text, or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum VersionValue {
    Text(String),
    Number(u64),
}

impl<'a> PredictBody<'a> {
    /// Splits a body into its parts.
    pub(crate) fn read(json: &'a [u8], limits: &JsonLimits) -> Result<Self> {
        if json.trim_ascii().is_empty() {
            return Err(Error::invalid(
                "the body is empty; expected JSON such as `{\"data\": [[1, 2, 3]]}`",
            ));
        }
        require_utf8(json)?;
        let members = object_members(json, limits)?;
        let mut body = Self {
            model: None,
            version: None,
            inputs: inputs(&members, limits)?,
            outputs: Vec::new(),
            timeout: None,
        };
        for (key, value) in members {
            match &*key {
                "model" => body.model = parse(&key, value, "a string")?,
                "model_version" => {
                    let version: Option<VersionValue> = parse(&key, value, "a string or a number")?;
                    body.version = version.map(|version| match version {
                        VersionValue::Text(text) => text,
                        VersionValue::Number(number) => number.to_string(),
                    });
                }
                "outputs" => {
                    let names: Option<_> = parse(&key, value, "an array of output names")?;
                    body.outputs = names.unwrap_or_default();
                }
                "timeout_ms" => {
                    let millis: Option<u64> = parse(&key, value, "a whole number of milliseconds")?;
                    body.timeout = millis.map(Duration::from_millis);
                }
                _ => {}
            }
        }
        Ok(body)
    }

    /// Decodes the inputs for the version that will answer.
    pub(super) fn into_request(
        self,
        info: &ModelInfo,
        call: &Call,
        id: RequestId,
        limits: &JsonLimits,
    ) -> Result<InferRequest> {
        let timeout = self
            .timeout
            .and_then(|timeout| call.received.checked_add(timeout));
        let inputs = self.inputs.read(info, limits)?;
        let mut request = InferRequest::new(id, inputs);
        request.outputs = self.outputs;
        request.deadline = call.deadline.into_iter().chain(timeout).min();
        Ok(request)
    }

    /// Decodes the inputs alone, for a version that will answer.
    pub(crate) fn into_inputs(
        self,
        info: &ModelInfo,
        limits: &JsonLimits,
    ) -> Result<Vec<NamedTensor>> {
        self.inputs.read(info, limits)
    }
}

impl Inputs<'_> {
    fn read(self, info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
        match self {
            Self::Only(json) => {
                let spec = only_input(info)?;
                Ok(vec![read_input(spec, info, json, limits)?])
            }
            Self::Named(members) => read_inputs(&members, info, limits),
        }
    }
}

/// Returns the input of a model that takes a value without a name.
pub(super) fn only_input(info: &ModelInfo) -> Result<&TensorSpec> {
    let inputs = &info.signature.inputs;
    let mut required = inputs.iter().filter(|spec| !spec.is_optional);
    let only = match (inputs.as_slice(), required.next(), required.next()) {
        ([only], _, _) | (_, Some(only), None) => Some(only),
        _ => None,
    };
    only.ok_or_else(|| {
        let example: Vec<_> = inputs
            .iter()
            .map(|spec| format!("{:?}: ...", spec.name))
            .collect();
        Error::invalid(format!(
            "model `{}` has the inputs {}; send them by name, as in `{{\"inputs\": {{{}}}}}`",
            info.model,
            input_names(&info.signature),
            example.join(", ")
        ))
    })
}

/// Finds the inputs among the members of a body.
fn inputs<'a>(members: &[(Cow<'a, str>, &'a [u8])], limits: &JsonLimits) -> Result<Inputs<'a>> {
    let is_input = |key: &str| matches!(key, "data" | "input" | "inputs");
    let mut found = members.iter().filter(|(key, _)| is_input(key));
    let (key, value) = found.next().ok_or_else(|| no_input(members))?;
    if let Some((other, _)) = found.next() {
        return Err(Error::invalid(format!(
            "the body has both `{key}` and `{other}`; send one of `data`, `input` and `inputs`"
        )));
    }
    if key != "inputs" {
        return Ok(Inputs::Only(value));
    }
    if !value.starts_with(b"{") {
        return Err(Error::invalid(
            "`inputs` must be an object of values by name, as in `{\"inputs\": {\"x\": [[1, 2]]}}`; \
             use `data` for the value of the only input, and `/v2/models/{model}/infer` for the \
             Open Inference Protocol",
        ));
    }
    let named = object_members(value, limits).map_err(|error| error.in_context("`inputs`"))?;
    Ok(Inputs::Named(named))
}

fn no_input(members: &[(Cow<'_, str>, &[u8])]) -> Error {
    let mut keys: Vec<_> = members
        .iter()
        .take(MAX_KEYS_SHOWN)
        .map(|(key, _)| format!("`{}`", key.escape_debug()))
        .collect();
    if members.len() > MAX_KEYS_SHOWN {
        keys.push("...".to_owned());
    }
    let got = match keys.is_empty() {
        true => "no key".to_owned(),
        false => keys.join(", "),
    };
    Error::invalid(format!(
        "the body has no input: expected `data` (or `input`) with the value of the only input, or \
         `inputs` with an object of values by name; got {got}"
    ))
}

fn read_inputs(
    members: &[(Cow<'_, str>, &[u8])],
    info: &ModelInfo,
    limits: &JsonLimits,
) -> Result<Vec<NamedTensor>> {
    let mut left = *limits;
    let mut inputs = Vec::with_capacity(members.len());
    for (name, json) in members {
        let Some((_, spec)) = info.signature.input(name) else {
            return Err(Error::invalid(format!(
                "input `{}` is unknown; the model has {}",
                name.escape_debug(),
                input_names(&info.signature)
            )));
        };
        let input = read_input(spec, info, json, &left)?;
        left.elements -= input.tensor.n_elements().min(left.elements);
        inputs.push(input);
    }
    Ok(inputs)
}

fn read_input(
    spec: &TensorSpec,
    info: &ModelInfo,
    json: &[u8],
    limits: &JsonLimits,
) -> Result<NamedTensor> {
    let tensor = read_nested(json, spec.element_type, limits)
        .map_err(|error| error.in_context(format_args!("input `{}`", spec.name)))?;
    let tensor = match info.signature.has_batch_dimension() && is_one_row(spec, &tensor) {
        true => {
            let dims = std::iter::once(1).chain(tensor.shape().dims().iter().copied());
            tensor.reshaped(dims.collect::<Shape>())?
        }
        false => tensor,
    };
    let name = spec.name.clone();
    Ok(NamedTensor { name, tensor })
}

/// Returns whether a tensor has the shape of one row of an input.
fn is_one_row(spec: &TensorSpec, tensor: &Tensor) -> bool {
    let Some((_, row)) = spec.dims.split_first() else {
        return false;
    };
    let fits = |(dim, size): (&contract::Dimension, &usize)| {
        dim.fixed().is_none_or(|fixed| fixed == *size)
    };
    row.len() == tensor.shape().rank() && row.iter().zip(tensor.shape().dims()).all(fits)
}

fn input_names(signature: &Signature) -> String {
    let names: Vec<_> = signature
        .inputs
        .iter()
        .map(|spec| format!("`{}`", spec.name))
        .collect();
    names.join(", ")
}

/// Parses a small member; `null` is the same as absent.
fn parse<'a, T: Deserialize<'a>>(key: &str, json: &'a [u8], expected: &str) -> Result<Option<T>> {
    serde_json::from_slice(json).map_err(|_| {
        let got = excerpt(json);
        Error::invalid(format!("`{key}` must be {expected}, got {got}"))
    })
}
