use contract::testing::model_info;
use contract::{Dimension, ElementType, Signature, TensorSpec};

use super::*;

/// A classifier of rows of two numbers.
fn iris() -> ModelInfo {
    let tensor = |name: &str, element_type, dims: &[Dimension]| TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.to_vec(),
        is_optional: false,
    };
    let rows = Dimension::Symbol("batch".to_owned());
    let columns = [rows.clone(), Dimension::Fixed(2)];
    let signature = Signature {
        inputs: vec![tensor("x", ElementType::F32, &columns)],
        outputs: vec![
            tensor("label", ElementType::Bytes, &[rows]),
            tensor("scores", ElementType::F32, &columns),
        ],
    };
    model_info("iris", "1", signature)
}

fn decode(json: &str) -> Result<GoldenRequest> {
    GoldenJson::new(&Limits::default()).decode(json.as_bytes(), &iris())
}

/// Returns names, shapes and numbers of tensors.
fn shown(tensors: &[NamedTensor]) -> Vec<String> {
    let shown = tensors.iter().map(|NamedTensor { name, tensor }| {
        let (shape, numbers) = (tensor.shape(), tensor.to_f64_vec().unwrap_or_default());
        let strings = tensor.element_type() == ElementType::Bytes;
        let strings = strings.then(|| tensor.strings().map(String::from_utf8_lossy).collect());
        let strings: Vec<_> = strings.unwrap_or_default();
        format!("{name} {shape} {}{numbers:?}", strings.join(","))
    });
    shown.collect()
}

#[test]
fn requests_and_replies_of_both_protocols_are_read_alike() {
    let requests = [
        r#"{"data": [[1, 2]]}"#,
        r#"{"inputs": {"x": [[1, 2]]}, "model": "iris"}"#,
        "[[1, 2]]",
        r#"{"id": "7", "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}"#,
    ];
    let replies = [
        r#"{"predictions": {"label": ["a"], "scores": [[0.25, NaN]]}}"#,
        r#"{"outputs": {"label": ["a"], "scores": [[0.25, NaN]]}}"#,
        r#"{"model": "iris", "model_version": "1", "api_version": "v1", "inference_time_ms": 0.1,
            "timestamp": "2026-01-01T00:00:00Z",
            "predictions": {"label": ["a"], "scores": [[0.25, NaN]]}}"#,
        r#"{"model_name": "iris", "model_version": "1", "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["a"]},
            {"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [0.25, NaN]}]}"#,
    ];
    for (request, reply) in requests.into_iter().zip(replies) {
        let json = format!(r#"{{"request": {request}, "expected": {reply}}}"#);
        let golden = decode(&json).unwrap();
        assert_eq!(shown(&golden.inputs), ["x [1, 2] [1.0, 2.0]"], "{json}");
        let expected = ["label [1] a[]", "scores [1, 2] [0.25, NaN]"];
        assert_eq!(shown(&golden.outputs), expected, "{json}");
    }
}

#[test]
fn some_of_the_outputs_are_enough() {
    let json = r#"{"request": [[1, 2]], "expected": {"outputs": {"label": ["a"]}}, "atol": 0.5}"#;
    let golden = decode(json).unwrap();
    assert_eq!(shown(&golden.outputs), ["label [1] a[]"]);
    assert_eq!(
        (golden.absolute_tolerance, golden.relative_tolerance),
        (0.5, 1e-3)
    );
}

#[test]
fn a_slip_is_refused_with_the_path_of_its_key() {
    let expected = r#""expected": {"outputs": {"label": ["a"]}}"#;
    let request = r#""request": [[1, 2]]"#;
    let cases = [
        ("[]".to_owned(), "expected a JSON object"),
        (format!("{{{expected}}}"), "`request` is missing"),
        (format!("{{{request}}}"), "`expected` is missing"),
        (
            format!(r#"{{{request}, {expected}, "rtoll": 1}}"#),
            "unknown key `rtoll`; expected `request`, `expected`, `atol` or `rtol`",
        ),
        (
            format!(r#"{{{request}, {expected}, "rtol": -1}}"#),
            "`rtol`: expected a number of at least 0, got `-1`",
        ),
        (
            format!(r#"{{"request": {{"y": [[1, 2]]}}, {expected}}}"#),
            "`request`: the body has no input",
        ),
        (
            format!(r#"{{{request}, "expected": {{}}}}"#),
            "`expected`: it has no outputs; expected `predictions`",
        ),
        (
            format!(r#"{{{request}, "expected": {{"label": ["a"]}}}}"#),
            "`expected`: unknown key `label`; expected `predictions`",
        ),
        (
            format!(r#"{{{request}, "expected": {{"outputs": {{"labels": ["a"]}}}}}}"#),
            "`expected`: unexpected inference output `labels`; the model has",
        ),
        (
            format!(r#"{{{request}, "expected": {{"outputs": {{"scores": ["a"]}}}}}}"#),
            "`expected`: output `scores`: ",
        ),
        (
            format!(
                r#"{{{request}, "expected": {{"outputs": {{"label": ["a"]}}, "predictions": {{}}}}}}"#
            ),
            "`expected`: `predictions` and `outputs` exclude each other",
        ),
    ];
    let mut failures = Vec::new();
    for (json, expected) in cases {
        let found = decode(&json).map_or_else(|error| error.to_string(), |_| "read".to_owned());
        if !found.contains(expected) {
            failures.push(format!("{json}: {found}, not {expected}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
