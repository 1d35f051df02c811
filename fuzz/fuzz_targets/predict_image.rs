//! An image, as the body and inside a form.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::post(
        "/models/image/predict/image",
        &[("content-type", "image/png")],
        data,
    );
    let form = [("content-type", "multipart/form-data; boundary=x")];
    harness::post("/models/image/predict/image", &form, data);
});
