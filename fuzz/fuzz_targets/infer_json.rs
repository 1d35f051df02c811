//! The body of an Open Inference request without binary tensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for model in ["FP32", "UINT64", "BF16", "BYTES"] {
        harness::post(&format!("/v2/models/{model}/infer"), &[], data);
    }
});
