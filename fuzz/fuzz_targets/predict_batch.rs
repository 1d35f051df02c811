//! The body of `POST /predict/batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::post("/predict/batch", &[], data);
});
