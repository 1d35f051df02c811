//! An Open Inference request with binary tensors; the first byte is the length of its JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((length, body)) = data.split_first() else {
        return;
    };
    let length = length.to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    for model in ["FP32", "BYTES"] {
        harness::post(&format!("/v2/models/{model}/infer"), &headers, body);
    }
});
