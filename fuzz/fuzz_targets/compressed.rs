//! A body with each content encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for encoding in ["gzip", "deflate", "zstd"] {
        harness::post(
            "/models/FP32/predict",
            &[("content-encoding", encoding)],
            data,
        );
    }
});
