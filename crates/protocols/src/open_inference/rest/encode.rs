//! An inference reply in JSON, with binary tensors behind it.
//!
//! Decision: a reply without a single byte behind the JSON is plain JSON, as Triton's is, even when
//! its empty outputs are declared as binary.

use bytes::Bytes;
use contract::{Error, InferResponse, NamedTensor, Result};
use http::HeaderValue;

use crate::open_inference::binary::HEADER_LENGTH;
use crate::rest::Reply;
use crate::tensor_json::write::{NonFinite, write_flat};

/// Room for everything but the tensors.
const ENVELOPE_BYTES: usize = 256;

/// Encodes the reply to a request with the id `id`; `is_binary` has the form of each output.
pub(super) fn encode(
    id: Option<&str>,
    response: &InferResponse,
    is_binary: impl Fn(usize) -> bool,
    style: NonFinite,
) -> Result<Reply> {
    let mut body = Vec::with_capacity(capacity(response));
    body.push(b'{');
    if let Some(id) = id {
        body.extend_from_slice(b"\"id\":");
        write_text(id, &mut body)?;
        body.push(b',');
    }
    body.extend_from_slice(b"\"model_name\":");
    write_text(response.info.model.as_str(), &mut body)?;
    body.extend_from_slice(b",\"model_version\":");
    write_text(response.info.version.as_str(), &mut body)?;
    body.extend_from_slice(b",\"outputs\":[");
    let mut blobs = Vec::new();
    for (index, output) in response.outputs.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_head(output, &mut body)?;
        if is_binary(index) {
            let data = output.tensor.data();
            let size = format!(r#""parameters":{{"binary_data_size":{}}}}}"#, data.len());
            body.extend_from_slice(size.as_bytes());
            blobs.push(data);
        } else {
            body.extend_from_slice(b"\"data\":");
            write_flat(&output.tensor, style, &mut body)
                .map_err(|error| error.in_context(format_args!("output `{}`", output.name)))?;
            body.push(b'}');
        }
    }
    body.extend_from_slice(b"]}");
    Ok(with_blobs(body, &blobs))
}

/// Writes the members of an output that come before its elements.
fn write_head(output: &NamedTensor, body: &mut Vec<u8>) -> Result<()> {
    body.extend_from_slice(b"{\"name\":");
    write_text(&output.name, body)?;
    let dims: Vec<_> = output.tensor.shape().wire_dims().collect();
    let rest = format!(
        r#","datatype":"{}","shape":["#,
        output.tensor.element_type()
    );
    body.extend_from_slice(rest.as_bytes());
    for (index, dim) in dims.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(itoa::Buffer::new().format(*dim).as_bytes());
    }
    body.extend_from_slice(b"],");
    Ok(())
}

fn with_blobs(mut body: Vec<u8>, blobs: &[&Bytes]) -> Reply {
    let n_json = body.len();
    for blob in blobs {
        body.extend_from_slice(blob);
    }
    if body.len() == n_json {
        return Reply::json(body);
    }
    let mut reply = Reply::new(HeaderValue::from_static("application/octet-stream"), body);
    reply
        .headers
        .push((HEADER_LENGTH, HeaderValue::from(n_json)));
    reply
}

/// Returns the approximate size of the reply: exact for binary outputs, a guess for numbers in
/// JSON.
fn capacity(response: &InferResponse) -> usize {
    let outputs = response.outputs.iter();
    outputs
        .map(|output| output.tensor.data().len())
        .fold(ENVELOPE_BYTES, usize::saturating_add)
}

fn write_text(text: &str, body: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(body, text).map_err(|error| Error::internal(error.to_string()))
}
