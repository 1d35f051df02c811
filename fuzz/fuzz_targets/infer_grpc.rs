//! The message of a gRPC `ModelInfer` call.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(data);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    harness::post(
        "/inference.GRPCInferenceService/ModelInfer",
        &headers,
        &framed,
    );
});
