//! Bodies of `/predict`: from JSON to an inference request.
//!
//! Rule: one key has the inputs, which are read once the model is known ([`RawInputs`]). A body that
//! is an array is the value of `data`, without options.

use std::time::Duration;

use contract::{Error, InferRequest, ModelInfo, NamedTensor, RequestId, Result};
use serde::Deserialize;

use super::inputs::RawInputs;
use crate::rest::Call;
use crate::tensor_json::JsonLimits;
use crate::tensor_json::envelope::{excerpt, object_members, require_utf8};

/// A body whose inputs have not been read yet.
#[derive(Debug, Default)]
pub(crate) struct PredictBody<'a> {
    /// The model, when the body names one.
    pub(crate) model: Option<String>,
    /// The version, when the body names one.
    pub(crate) version: Option<String>,
    inputs: RawInputs<'a>,
    outputs: Vec<String>,
    timeout: Option<Duration>,
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
        let mut body = Self::default();
        if json.trim_ascii_start().starts_with(b"[") {
            body.inputs = RawInputs::of_array(json);
            return Ok(body);
        }
        for (key, value) in object_members(json, limits)? {
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
                _ => body.inputs.take(key, value)?,
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

/// Parses a small member; `null` is the same as absent.
fn parse<'a, T: Deserialize<'a>>(key: &str, json: &'a [u8], expected: &str) -> Result<Option<T>> {
    serde_json::from_slice(json).map_err(|_| {
        let got = excerpt(json);
        Error::invalid(format!("`{key}` must be {expected}, got {got}"))
    })
}
