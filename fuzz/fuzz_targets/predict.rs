//! The body of `POST /predict`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for model in ["FP32", "INT64", "FP16", "BYTES", "BOOL"] {
        harness::post(&format!("/models/{model}/predict"), &[], data);
    }
});
