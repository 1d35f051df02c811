//! A picture, as the body and inside a form; a file that was cut does not become another picture.
#![no_main]

use harness::post;
use http::StatusCode;

const PATH: &str = "/models/image/predict/image";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let picture = [("content-type", "image/png")];
    let (status, body) = post(PATH, &picture, data);
    let form = [("content-type", "multipart/form-data; boundary=x")];
    post(PATH, &form, data);
    if status != StatusCode::OK {
        return;
    }
    // Bytes behind the end of a picture do not belong to it, so a cut may be without effect.
    for cut in [data.len() - 1, data.len() / 2, data.len() / 3] {
        let (status, cut_body) = post(PATH, &picture, &data[..cut]);
        let is_same = classes(&cut_body) == classes(&body);
        assert!(
            status != StatusCode::OK || is_same,
            "{cut} of {} bytes",
            data.len()
        );
    }
});

fn classes(body: &[u8]) -> serde_json::Value {
    let reply: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    reply["predictions"].clone()
}
