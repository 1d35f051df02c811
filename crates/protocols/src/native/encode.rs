//! Replies of the simple JSON API.
//!
//! Decision: numbers of tensors are written straight into the body; everything else is small and
//! goes through serde.

use std::time::Duration;

use contract::{Error, InferResponse, ModelInfo, NamedTensor, Result};
use jiff::Timestamp;
use serde::Serialize;

use super::API_VERSION;
use crate::tensor_json::write::{NonFinite, write_nested};

/// Room for everything but the tensors of a usual reply.
const ENVELOPE_BYTES: usize = 256;

/// Room for a number and its comma; a float of single precision takes about ten.
const BYTES_PER_NUMBER: usize = 12;

/// The fields of every prediction beside its result.
#[derive(Serialize)]
pub(super) struct Provenance<'a> {
    model: &'a str,
    model_version: &'a str,
    api_version: &'static str,
    timestamp: String,
    inference_time_ms: f64,
}

impl<'a> Provenance<'a> {
    /// Returns the fields for an answer of `info` that took `latency`.
    pub(super) fn new(info: &'a ModelInfo, latency: Duration) -> Self {
        Self {
            model: info.model.as_str(),
            model_version: info.version.as_str(),
            api_version: API_VERSION,
            timestamp: format!("{:.3}", Timestamp::now()),
            // Microseconds: more digits than that are noise.
            inference_time_ms: (latency.as_secs_f64() * 1e6).round() / 1e3,
        }
    }
}

/// Encodes the body of a prediction.
pub(super) fn prediction(
    response: &InferResponse,
    latency: Duration,
    style: NonFinite,
) -> Result<Vec<u8>> {
    let n_elements: usize = (response.outputs.iter())
        .map(|output| output.tensor.n_elements())
        .sum();
    let capacity = n_elements.saturating_mul(BYTES_PER_NUMBER);
    let mut body = Vec::with_capacity(capacity.saturating_add(ENVELOPE_BYTES));
    body.extend_from_slice(b"{\"predictions\":");
    write_predictions(&response.outputs, style, &mut body)?;
    let rest = body.len();
    write_json(&Provenance::new(&response.info, latency), &mut body)?;
    // The rest of the object follows its opening brace.
    if let Some(brace) = body.get_mut(rest) {
        *brace = b',';
    }
    Ok(body)
}

/// Writes one output as its value, several by name.
fn write_predictions(outputs: &[NamedTensor], style: NonFinite, body: &mut Vec<u8>) -> Result<()> {
    if let [only] = outputs {
        return write_output(only, style, body);
    }
    let mut separator = b'{';
    for output in outputs {
        body.push(separator);
        write_json(&output.name, body)?;
        body.push(b':');
        write_output(output, style, body)?;
        separator = b',';
    }
    if outputs.is_empty() {
        body.push(separator);
    }
    body.push(b'}');
    Ok(())
}

fn write_output(output: &NamedTensor, style: NonFinite, body: &mut Vec<u8>) -> Result<()> {
    write_nested(&output.tensor, style, body)
        .map_err(|error| error.in_context(format_args!("output `{}`", output.name)))
}

fn write_json(value: &impl Serialize, body: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(body, value).map_err(|error| Error::internal(error.to_string()))
}
