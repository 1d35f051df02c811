//! The body of `POST /v1/feedback`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::post("/v1/feedback", &[], data);
});
