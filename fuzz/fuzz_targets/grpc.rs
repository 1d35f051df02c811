//! Calls of every gRPC method but the health watch, which does not end.
//!
//! The first byte selects the method. Its top bit says that the rest is the body as it stands, with
//! the prefixes of its messages; otherwise the rest is two messages, split by the second byte.
#![no_main]

use harness::{GRPC, call, grpc_frame, restore};
use http::Method;

const SERVICE: &str = "inference.GRPCInferenceService";

const METHODS: [&str; 17] = [
    "ModelInfer",
    "ModelStreamInfer",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "CudaSharedMemoryRegister",
    "TraceSetting",
    "LogSettings",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([selector, cut], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let method = METHODS[usize::from(selector & 0x7f) % METHODS.len()];
    let path = match method.starts_with('/') {
        true => method.to_owned(),
        false => format!("/{SERVICE}/{method}"),
    };
    let (first, second) = rest.split_at(usize::from(*cut).min(rest.len()));
    let is_raw = selector & 0x80 != 0;
    let compressed = [GRPC[0], GRPC[1], ("grpc-encoding", "gzip")];
    let reply = match (is_raw, second.is_empty()) {
        (true, _) => call(Method::POST, &path, &compressed, &[first, second]),
        (false, true) => call(Method::POST, &path, GRPC, &[&grpc_frame(first)]),
        (false, false) => {
            let messages = [grpc_frame(first), grpc_frame(second)];
            call(Method::POST, &path, GRPC, &[&messages[0], &messages[1]])
        }
    };
    if method == "RepositoryModelUnload" && reply.expect("legal headers").grpc_status() == Some("0")
    {
        restore();
    }
});
