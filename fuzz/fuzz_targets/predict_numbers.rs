//! Rows of numbers: the numbers in the reply have the bits that the standard library parses.
//!
//! Rule: where the reference reads every number of a regular array, the request must succeed. The
//! text of each number is cut out by serde and parsed straight to its type, so neither side rounds
//! twice.
#![no_main]

use harness::post;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Returns a number as the bits of one element type; `None` when the type cannot hold it.
type Read = fn(&str) -> Option<u64>;

const TYPES: [(&str, Read); 4] = [
    ("FP32", |text| {
        let value = text.parse().ok().filter(|value: &f32| value.is_finite());
        value.map(|value| value.to_bits().into())
    }),
    ("FP64", |text| {
        let value = text.parse().ok().filter(|value: &f64| value.is_finite());
        value.map(f64::to_bits)
    }),
    ("INT64", |text| text.parse().ok().map(i64::cast_unsigned)),
    ("UINT64", |text| text.parse().ok()),
];

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    predictions: Vec<Vec<&'a RawValue>>,
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(rows) = serde_json::from_slice::<Vec<Vec<&RawValue>>>(data) else {
        return;
    };
    let n_columns = rows.first().map_or(0, Vec::len);
    if rows.iter().any(|row| row.len() != n_columns) {
        return;
    }
    for (model, read) in TYPES {
        let Some(expected) = bits(&rows, read) else {
            continue;
        };
        let body = [b"{\"data\":", data, b"}"].concat();
        let (status, body) = post(&format!("/models/{model}/predict"), &[], &body);
        assert_eq!(status, StatusCode::OK, "{model}: {body:?}");
        let reply: Reply<'_> = serde_json::from_slice(&body).expect("rows of predictions");
        assert_eq!(
            bits(&reply.predictions, read),
            Some(expected),
            "{model}: {body:?}"
        );
    }
});

fn bits(rows: &[Vec<&RawValue>], read: Read) -> Option<Vec<u64>> {
    rows.iter()
        .flatten()
        .map(|number| read(number.get()))
        .collect()
}
