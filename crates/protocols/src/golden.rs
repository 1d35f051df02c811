//! Golden requests in JSON: the files `tests/*.json` of a version.
//!
//! Rule: `request` is a body of `/predict` or of `/v2/models/{model}/infer`, `expected` is the reply
//! to it, whole or with its outputs alone. So a file is made of a call that was right once. Fields of
//! the reply that no version can repeat, such as its time, do not count; unknown keys are refused,
//! because a mistyped key would weaken the check without a sign.

use contract::{Error, GoldenDecoder, GoldenRequest, ModelInfo, NamedTensor, Result};
use stats::comparison::Tolerance;

use crate::context::Limits;
use crate::native::PredictBody;
use crate::open_inference::rest::read_tensors;
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{array_items, excerpt, object_members, require_utf8};
use crate::tensor_json::read::read_nested;

/// The keys of replies that say nothing about their outputs.
const REPLY_KEYS: [&str; 9] = [
    "api_version",
    "id",
    "inference_time_ms",
    "model",
    "model_name",
    "model_version",
    "parameters",
    "timestamp",
    "arm",
];

/// The form of `expected` for an error.
const EXPECTED_FORMS: &str = "expected `predictions`, as in a reply of `/predict`, or `outputs` with \
                              the values by name";

/// The decoder of golden requests in JSON.
#[derive(Clone, Debug)]
pub struct GoldenJson {
    limits: JsonLimits,
}

impl GoldenJson {
    /// Creates a decoder with the limits of requests.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.into(),
        }
    }
}

impl GoldenDecoder for GoldenJson {
    fn decode(&self, json: &[u8], info: &ModelInfo) -> Result<GoldenRequest> {
        require_utf8(json)?;
        let (mut request, mut expected) = (None, None);
        let mut tolerance = Tolerance::default();
        for (key, value) in object_members(json, &self.limits)? {
            match &*key {
                "request" => request = Some(value),
                "expected" => expected = Some(value),
                "atol" => tolerance.absolute = number(&key, value)?,
                "rtol" => tolerance.relative = number(&key, value)?,
                _ => {
                    return Err(Error::invalid(format!(
                        "unknown key `{}`; expected `request`, `expected`, `atol` or `rtol`",
                        key.escape_debug()
                    )));
                }
            }
        }
        let missing = |key: &str| Error::invalid(format!("`{key}` is missing"));
        let request = request.ok_or_else(|| missing("request"))?;
        let expected = expected.ok_or_else(|| missing("expected"))?;
        Ok(GoldenRequest {
            inputs: inputs(request, info, &self.limits)
                .map_err(|error| error.in_context("`request`"))?,
            outputs: outputs(expected, info, &self.limits)
                .map_err(|error| error.in_context("`expected`"))?,
            absolute_tolerance: tolerance.absolute,
            relative_tolerance: tolerance.relative,
        })
    }
}

fn number(key: &str, json: &[u8]) -> Result<f64> {
    let number = serde_json::from_slice(json).ok();
    number.filter(|number| *number >= 0.0).ok_or_else(|| {
        let got = excerpt(json);
        Error::invalid(format!(
            "`{key}`: expected a number of at least 0, got {got}"
        ))
    })
}

/// Reads the inputs of a request of either protocol.
fn inputs(json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
    match typed_inputs(json, limits) {
        Some(inputs) => read_tensors(inputs, "inputs", limits),
        None => PredictBody::read(json, limits)?.into_inputs(info, limits),
    }
}

/// Returns the member `inputs` of a request of the Open Inference Protocol, whose inputs have a
/// `datatype`; `None` for other requests.
fn typed_inputs<'a>(json: &'a [u8], limits: &JsonLimits) -> Option<&'a [u8]> {
    let members = object_members(json, limits).ok()?;
    let (_, inputs) = members.into_iter().find(|(key, _)| key == "inputs")?;
    let items = array_items(inputs, limits, usize::MAX).ok()?;
    let first = object_members(items.first()?, limits).ok()?;
    first
        .iter()
        .any(|(key, _)| key == "datatype")
        .then_some(inputs)
}

/// Reads the outputs of a reply of either protocol.
fn outputs(json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
    let mut found = None;
    for (key, value) in object_members(json, limits)? {
        let read = match &*key {
            "predictions" => predictions(value, info, limits),
            "outputs" if value.starts_with(b"[") => read_tensors(value, "outputs", limits),
            "outputs" => named(value, info, limits),
            _ if REPLY_KEYS.contains(&&*key) => continue,
            _ => {
                let key = key.escape_debug();
                return Err(Error::invalid(format!(
                    "unknown key `{key}`; {EXPECTED_FORMS}"
                )));
            }
        };
        if found.replace(read?).is_some() {
            return Err(Error::invalid(
                "`predictions` and `outputs` exclude each other",
            ));
        }
    }
    let outputs = found.filter(|outputs| !outputs.is_empty());
    outputs.ok_or_else(|| Error::invalid(format!("it has no outputs; {EXPECTED_FORMS}")))
}

/// Reads the value of the only output, or an object of values by name.
fn predictions(json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
    match info.signature.outputs.as_slice() {
        [only] if !json.starts_with(b"{") => Ok(vec![output(&only.name, json, info, limits)?]),
        _ => named(json, info, limits),
    }
}

fn named(json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<Vec<NamedTensor>> {
    let members = object_members(json, limits)?;
    let members = members.iter();
    members
        .map(|(name, value)| output(name, value, info, limits))
        .collect()
}

fn output(name: &str, json: &[u8], info: &ModelInfo, limits: &JsonLimits) -> Result<NamedTensor> {
    let positions = info.signature.bind_outputs(&[name])?;
    let spec = positions
        .first()
        .and_then(|&at| info.signature.outputs.get(at));
    let spec = spec.ok_or_else(|| Error::internal("a bound output is not in the signature"))?;
    let tensor = read_nested(json, spec.element_type, limits)
        .map_err(|error| error.in_context(format_args!("output `{name}`")))?;
    let name = name.to_owned();
    Ok(NamedTensor { name, tensor })
}

#[cfg(test)]
mod tests;
