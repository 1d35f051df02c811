//! Random requests: they cause no panic, and are never the fault of the server.

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert};

use super::*;

const SOUND: &str = r#"{"id":"7","parameters":{"timeout":5000000,"binary_data_output":true},"inputs":[{"name":"INPUT0","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}},{"name":"INPUT1","shape":[2],"datatype":"BYTES","data":["a","b"]}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true,"classification":1}},{"name":"OUTPUT1"}]}"#;

fn path() -> impl Strategy<Value = String> {
    let paths = [
        "/v2/models/m/infer",
        "/v2/models/scores/infer",
        "/v2/models/types/versions/1/infer",
        "/v2/repository/index",
        "/v2/repository/models/m/load",
        "/v2/repository/models/m/unload",
        "/v2/trace/setting",
        "/v2/logging",
    ];
    proptest::sample::select(paths.to_vec()).prop_map(str::to_owned)
}

/// A sound request with some bytes replaced, removed or repeated.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let sound = [SOUND.as_bytes(), &[0; 16]].concat();
    let edit = (any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8);
    collection::vec(edit, 0..4).prop_map(move |edits| {
        let mut body = sound.clone();
        for (at, byte, kind) in edits {
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => drop(body.remove(at)),
                _ => body.insert(at, byte),
            }
        }
        body
    })
}

/// JSON built from the words that the decoder looks for.
fn wordy() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"inputs\"",
        "\"outputs\"",
        "\"name\"",
        "\"shape\"",
        "\"datatype\"",
        "\"data\"",
        "\"parameters\"",
        "\"binary_data_size\"",
        "\"x\"",
        "\"y\"",
        "\"FP32\"",
        "\"BYTES\"",
        "1",
        "-1",
        "2.5",
        "1e999",
        "null",
        "true",
        "NaN",
        "\"\\u0000\"",
        "9223372036854775807",
        " ",
    ];
    let word = proptest::sample::select(words.to_vec());
    collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

fn header() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some(SOUND.len().to_string())),
        (0..400_usize).prop_map(|length| Some(length.to_string())),
        "[ -~]{0,12}".prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn no_request_makes_the_server_fail(
        path in path(),
        body in prop_oneof![damaged(), wordy(), collection::vec(any::<u8>(), 0..64)],
        header in header(),
    ) {
        let mut ask = post(&path, body);
        if let Some(length) = header {
            ask = ask.with("inference-header-content-length", &length);
        }
        let answer = ask.answer(&echo());
        prop_assert!(answer.status < 500 || answer.status == 501, "{answer:?}");
        if answer.status != 200 {
            prop_assert!(answer.json()["error"].is_string(), "{answer:?}");
        }
    }

    #[test]
    fn no_path_makes_the_server_fail(segments in collection::vec("[a-z0-9.%]{0,6}", 0..4)) {
        let path = format!("/v2/models/{}", segments.join("/"));
        if path.parse::<http::Uri>().is_ok() {
            let answer = get(&path).answer(&echo());
            prop_assert!(answer.status < 500, "{answer:?}");
        }
    }

    #[test]
    fn numbers_survive_the_way_through_json(values in collection::vec(any::<f32>(), 1..20)) {
        let n_values = values.len();
        let blob: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let json = format!(
            r#"{{"inputs":[{{"name":"in-FP32","shape":[{n_values}],"datatype":"FP32","parameters":{{"binary_data_size":{}}}}}],"outputs":[{{"name":"out-FP32"}}]}}"#,
            blob.len()
        );
        let answer = post_binary("/v2/models/types/infer", &json, &blob).answer(&echo());
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let data = text.split_once("\"data\":[").unwrap().1.split_once(']').unwrap().0;
        let again: Vec<f32> = data
            .split(',')
            .map(|number| match number {
                "Infinity" => f32::INFINITY,
                "-Infinity" => f32::NEG_INFINITY,
                number => number.parse().unwrap(),
            })
            .collect();
        let is_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        prop_assert!(values.len() == again.len() && values.iter().zip(&again).all(is_same));
    }
}
