//! The two shapes of an error in JSON.

use contract::{Error, RequestId};
use serde::Serialize;

use crate::attributes::served_by_fields;

#[derive(Serialize)]
struct NativeBody<'a> {
    error: NativeError<'a>,
}

#[derive(Serialize)]
struct NativeError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a str>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct OpenInferenceBody<'a> {
    error: &'a str,
    code: &'a str,
    request_id: &'a str,
}

/// Encodes an error of the simple JSON API.
pub(crate) fn native_error(error: &Error, id: &RequestId) -> Vec<u8> {
    encode(&NativeBody {
        error: NativeError {
            code: error.code().as_str(),
            message: error.message(),
            model_version: served_by_fields(error.served_by())[1],
            request_id: id.as_str(),
        },
    })
}

/// Encodes an error of the Open Inference Protocol: `error` is the text, as its clients expect.
pub(crate) fn open_inference_error(error: &Error, id: &RequestId) -> Vec<u8> {
    encode(&OpenInferenceBody {
        error: error.message(),
        code: error.code().as_str(),
        request_id: id.as_str(),
    })
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    // Text under fixed keys always has a JSON form, so this default is never taken.
    serde_json::to_vec(body).unwrap_or_default()
}
