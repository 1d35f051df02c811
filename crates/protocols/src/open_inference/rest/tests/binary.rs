//! The binary tensor extension, byte by byte.

use contract::Tensor;

use super::*;
use crate::open_inference::rest::decode::{Envelope, decode};

const REQUEST: &str = r#"{"id":"7","inputs":[{"name":"INPUT0","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}},{"name":"INPUT1","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]}"#;
const BLOBS: &str = "00 00 80 3f 00 00 00 40 00 00 40 40 00 00 80 40 | \
                     02 00 00 00 61 62 01 00 00 00 63";

#[test]
fn the_example_of_the_protocol_has_the_documented_bytes() {
    assert_eq!(REQUEST.len(), 259);
    let ask = post_binary("/v2/models/m/infer", REQUEST, &unhex(BLOBS));
    assert_eq!(ask.body.len(), 286);
    let answer = ask.answer(&echo());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), 163);
    assert_eq!(answer.header(HEADER_LENGTH.as_str()), Some("147"));
    insta::assert_snapshot!(exchanges(&echo(), [ask]));
}

#[test]
fn vectors_go_in_and_out_unchanged() {
    let cases = [
        ("FP32", 2, "00 00 80 3f 00 00 20 c0", "[1.0,-2.5]"),
        ("FP16", 3, "00 3c 00 c0 ff 7b", "[1.0,-2.0,65504.0]"),
        ("FP16", 2, "66 2e 00 68", "[0.0999755859375,2048.0]"),
        ("BF16", 3, "80 3f 20 c0 49 40", "[1.0,-2.5,3.140625]"),
        ("BF16", 1, "82 3f", "[1.015625]"),
        (
            "BYTES",
            4,
            "00 00 00 00 | 01 00 00 00 61 | 02 00 00 00 c3 a9 | 03 00 00 00 78 00 79",
            r#"["","a","é","x\u0000y"]"#,
        ),
        ("BOOL", 2, "00 01", "[false,true]"),
        (
            "INT64",
            1,
            "ff ff ff ff ff ff ff 7f",
            "[9223372036854775807]",
        ),
        (
            "UINT64",
            1,
            "ff ff ff ff ff ff ff ff",
            "[18446744073709551615]",
        ),
    ];
    let router = echo();
    for (datatype, n_elements, blob, json) in cases {
        let blob = unhex(blob);
        let request = |tensor: &str, is_binary: bool| {
            format!(
                r#"{{"inputs":[{{"name":"in-{datatype}","shape":[{n_elements}],"datatype":"{datatype}",{tensor}}}],"outputs":[{{"name":"out-{datatype}","parameters":{{"binary_data":{is_binary}}}}}]}}"#
            )
        };
        let size = format!(r#""parameters":{{"binary_data_size":{}}}"#, blob.len());
        let binary = |is_binary| {
            post_binary("/v2/models/types/infer", &request(&size, is_binary), &blob).answer(&router)
        };
        let answer = binary(true);
        let n_json: usize = answer
            .header(HEADER_LENGTH.as_str())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(hex(&answer.body[n_json..]), hex(&blob), "{datatype}");
        let text = String::from_utf8(binary(false).body.to_vec()).unwrap();
        assert!(
            text.contains(&format!(r#""data":{json}"#)),
            "{datatype}: {text}"
        );
        let json = request(&format!(r#""data":{json}"#), true);
        let answer = post("/v2/models/types/infer", json).answer(&router);
        let n_json: usize = answer
            .header(HEADER_LENGTH.as_str())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(hex(&answer.body[n_json..]), hex(&blob), "{datatype}");
    }
}

#[test]
fn numbers_of_16_bits_are_rounded_to_the_nearest_even() {
    let cases = [
        ("FP16", "0.1", "66 2e"),
        ("FP16", "2049", "00 68"),
        ("BF16", "3.14159274", "49 40"),
        ("BF16", "1.00390625", "80 3f"),
        ("BF16", "1.01171875", "82 3f"),
    ];
    let router = echo();
    let wrong: Vec<_> = cases
        .into_iter()
        .filter_map(|(datatype, number, expected)| {
            let json = format!(
                r#"{{"inputs":[{{"name":"in-{datatype}","shape":[1],"datatype":"{datatype}","data":[{number}]}}],"outputs":[{{"name":"out-{datatype}","parameters":{{"binary_data":true}}}}]}}"#
            );
            let body = post("/v2/models/types/infer", json).answer(&router).body;
            let got = hex(&body[body.len() - 2..]);
            (got != expected).then_some((datatype, number, got))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn binary_and_json_tensors_can_be_mixed_in_any_order() {
    let path = "/v2/models/m/infer";
    let text = r#"{"name":"INPUT1","shape":[1],"datatype":"BYTES","data":["a"]}"#;
    let binary =
        r#"{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}"#;
    let blob = unhex("00 00 80 3f 00 00 20 c0");
    let request = |inputs: &str, rest: &str| {
        post_binary(path, &format!(r#"{{"inputs":[{inputs}]{rest}}}"#), &blob)
    };
    let asks = [
        request(&format!("{text},{binary}"), ""),
        request(
            &format!("{binary},{text}"),
            r#","parameters":{"binary_data_output":true}"#,
        ),
        request(
            &format!("{binary},{text}"),
            r#","parameters":{"binary_data_output":true},"outputs":[{"name":"OUTPUT1","parameters":{"binary_data":false}},{"name":"OUTPUT0"}]"#,
        ),
        request(
            &format!("{text},{binary}"),
            r#","outputs":[{"name":"OUTPUT1","parameters":{"binary_data":true}},{"name":"OUTPUT0"}]"#,
        ),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn a_reply_whose_binary_outputs_are_empty_is_plain_json() {
    let json = r#"{"inputs":[{"name":"in-FP32","shape":[0],"datatype":"FP32","parameters":{"binary_data_size":0}}],"outputs":[{"name":"out-FP32","parameters":{"binary_data":true}}]}"#;
    insta::assert_snapshot!(exchanges(
        &echo(),
        [post_binary("/v2/models/types/infer", json, b"")]
    ));
}

#[test]
fn inputs_are_slices_of_the_body() {
    let body = Bytes::from([REQUEST.as_bytes(), &unhex(BLOBS)].concat());
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_LENGTH, http::HeaderValue::from_static("259"));
    let crate::open_inference::binary::Parts::Json(json, blobs) =
        crate::open_inference::binary::split(&headers, body.clone()).unwrap()
    else {
        panic!("the body has JSON");
    };
    let limits = crate::tensor_json::JsonLimits::from(&Limits::default());
    let envelope = Envelope::read(&json, &limits).unwrap();
    let decoded = decode(envelope, blobs, &limits).unwrap();
    let offsets: Vec<_> = decoded
        .inference
        .inputs
        .iter()
        .map(|input| offset(&input.tensor, &body))
        .collect();
    assert_eq!(offsets, [259, 275]);
}

fn offset(tensor: &Tensor, body: &Bytes) -> usize {
    tensor.data().as_ptr().addr() - body.as_ptr().addr()
}

#[test]
fn a_raw_request_is_the_only_input_of_the_model() {
    let path = "/v2/models/scores/infer";
    let raw = |body: Vec<u8>| post(path, body).with("inference-header-content-length", "0");
    let blob = unhex("00 00 80 3f 00 00 20 c0");
    let asks = [
        raw(blob.clone()),
        raw(blob.clone()).with("accept", "*/*"),
        raw(blob.clone()).with("accept", "text/html, application/json;q=0.9"),
        raw(blob[1..].to_vec()),
        post("/v2/models/m/infer", blob).with("inference-header-content-length", "0"),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}
