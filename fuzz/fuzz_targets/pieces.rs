//! A body that arrives in pieces gets the reply that it gets when it arrives at once.
//!
//! The first byte selects the call, the next three cut the body.
#![no_main]

use harness::{GRPC, Headers, Reply, call};
use http::Method;

const CALLS: [(&str, Headers<'static>); 6] = [
    ("/models/FP32/predict", &[("x-request-id", "r")]),
    (
        "/models/table/predict",
        &[("x-request-id", "r"), ("content-encoding", "gzip")],
    ),
    ("/v2/models/FP32/infer", &[("x-request-id", "r")]),
    (
        "/v2/models/BYTES/infer",
        &[
            ("x-request-id", "r"),
            ("inference-header-content-length", "64"),
        ],
    ),
    ("/inference.GRPCInferenceService/ModelInfer", GRPC),
    ("/inference.GRPCInferenceService/ModelStreamInfer", GRPC),
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([selector, cuts @ ..], body)) = data.split_first_chunk::<4>() else {
        return;
    };
    let (path, headers) = CALLS[usize::from(*selector) % CALLS.len()];
    let mut pieces = Vec::new();
    let mut rest = body;
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let whole = call(Method::POST, path, headers, &[body]).expect("legal headers");
    let pieces = call(Method::POST, path, headers, &pieces).expect("legal headers");
    assert_eq!(meaning(&whole), meaning(&pieces));
});

/// Returns the status and the content of a reply, without the time of the answer.
fn meaning(reply: &Reply) -> (u16, Option<&str>, Vec<u8>) {
    let mut body = reply.json();
    let body = match body.as_object_mut() {
        None => reply.body.to_vec(),
        Some(fields) => {
            fields.remove("timestamp");
            fields.remove("inference_time_ms");
            body.to_string().into_bytes()
        }
    };
    (reply.status.as_u16(), reply.grpc_status(), body)
}
