//! Tables in the forms of hand-written services, read for signatures of several inputs.

use contract::testing::model_info;
use contract::{Dimension, ElementType};

use super::*;
use crate::context::Limits;
use crate::native::decode::PredictBody;

fn spec(name: &str, element_type: ElementType, dims: &[Option<usize>]) -> TensorSpec {
    let dim = |size: &Option<usize>| size.map_or(Dimension::Dynamic, Dimension::Fixed);
    TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.iter().map(dim).collect(),
        is_optional: false,
    }
}

fn model(inputs: Vec<TensorSpec>) -> ModelInfo {
    let outputs = vec![spec("score", ElementType::F32, &[None, Some(1)])];
    model_info("churn", "1", Signature { inputs, outputs })
}

/// A pipeline with one input for each column, as scikit-learn exports them.
fn pipeline() -> ModelInfo {
    model(vec![
        spec("age", ElementType::I64, &[None, Some(1)]),
        spec("city", ElementType::Bytes, &[None, Some(1)]),
    ])
}

fn optional_bias() -> ModelInfo {
    let mut info = model(vec![
        spec("x", ElementType::F32, &[None, Some(3)]),
        spec("bias", ElementType::F32, &[None]),
    ]);
    for input in info.signature.inputs.iter_mut().skip(1) {
        input.is_optional = true;
    }
    info
}

fn read(body: &str, info: &ModelInfo) -> Result<Vec<NamedTensor>> {
    let limits = JsonLimits::from(&Limits::default());
    let mut inputs = PredictBody::read(body.as_bytes(), &limits)?.into_inputs(info, &limits)?;
    info.signature.bind_inputs(inputs.clone())?;
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

/// Checks that every body is read as `expected` is.
fn check_same(info: &ModelInfo, expected: &str, bodies: &[&str]) {
    let expected = read(expected, info).unwrap();
    for body in bodies {
        let inputs = read(body, info).map_err(|error| error.to_string());
        assert_eq!(inputs.as_ref(), Ok(&expected), "{body}");
    }
}

fn check_refused(info: &ModelInfo, cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        match read(body, info) {
            Ok(inputs) => panic!("{body} was read as {inputs:?}"),
            Err(error) => assert!(error.message().contains(expected), "{body}: {error}"),
        }
    }
}

#[test]
fn columns_and_records_are_the_same_table_under_every_key() {
    let columns = r#"{"age": [30, 40], "city": ["a", "b"]}"#;
    let records = r#"[ {"age": 30, "city": "a"}, {"city": "b", "age": 40}]"#;
    let mut bodies = vec![columns.to_owned(), records.to_owned()];
    for key in INPUT_KEYS {
        bodies.push(format!("{{\"{key}\": {columns}, \"user_id\": 7}}"));
        bodies.push(format!("{{\"{key}\": {records}, \"user_id\": 7}}"));
    }
    bodies.push(r#"[{"age": [30], "city": ["a"]}, {"age": [40], "city": ["b"]}]"#.to_owned());
    bodies.push(r#"{"age": [30, 40], "city": ["a", "b"], "timeout_ms": 900}"#.to_owned());
    let bodies: Vec<_> = bodies.iter().map(String::as_str).collect();
    let tensors = r#"{"inputs": {"age": [[30], [40]], "city": [["a"], ["b"]]}}"#;
    check_same(&pipeline(), tensors, &bodies);
}

#[test]
fn one_record_is_one_row() {
    let bodies = [
        r#"{"age": 30, "city": "a"}"#,
        r#"{"age": [30], "city": "a"}"#,
        r#"[{"age": 30, "city": "a"}]"#,
        r#"{"instances": [{"age": 30, "city": "a"}]}"#,
        r#"{"data": {"age": 30, "city": "a"}}"#,
        r#"{"inputs": {"age": 30, "city": ["a"]}}"#,
    ];
    let tensors = r#"{"inputs": {"age": [[30]], "city": [["a"]]}}"#;
    check_same(&pipeline(), tensors, &bodies);
}

#[test]
fn a_column_is_a_plain_list_for_the_only_input_too() {
    let info = model(vec![spec("x", ElementType::F32, &[None, Some(1)])]);
    let bodies = [
        r#"{"data": [1, 2, null]}"#,
        r#"{"x": [1, 2, NaN]}"#,
        r#"[1, 2, null]"#,
        r#"[{"x": 1}, {"x": 2}, {"x": null}]"#,
    ];
    let tensors = bodies.map(|body| read(body, &info).unwrap());
    for inputs in tensors {
        let shapes: Vec<_> = inputs.iter().map(|input| input.tensor.shape()).collect();
        assert_eq!(shapes, [&Shape::new(&[3, 1])]);
    }
}

#[test]
fn values_of_records_are_rows_whatever_their_number() {
    let info = optional_bias();
    let bodies = [
        r#"[{"x": [1, 2, 3], "bias": 1}, {"x": [4, 5, 6], "bias": 2}]"#,
        r#"{"x": [[1, 2, 3], [4, 5, 6]], "bias": [1, 2]}"#,
    ];
    let tensors = r#"{"inputs": {"x": [[1, 2, 3], [4, 5, 6]], "bias": [1, 2]}}"#;
    check_same(&info, tensors, &bodies);
    let without = r#"{"data": [[1, 2, 3], [4, 5, 6]]}"#;
    check_same(&info, without, &[r#"[{"x": [1, 2, 3]}, {"x": [4, 5, 6]}]"#]);
    // Three numbers are no row of three.
    check_refused(
        &info,
        &[(
            r#"[{"x": 1}, {"x": 2}, {"x": 3}]"#,
            "expected shape [-1, 3], got [3]",
        )],
    );
}

/// Tables that do not fit the pipeline, and a part of the error of each.
const MISFITS: [(&str, &str); 21] = [
    (
        r#"{"age": [30, 40]}"#,
        "input `city` is missing; expected BYTES of shape [-1, 1]",
    ),
    (r#"{"inputs": {"age": 30}}"#, "input `city` is missing"),
    (
        r#"[{"age": 30}]"#,
        "record 0: input `city` is missing; every record needs it",
    ),
    (
        r#"[{"age": 30, "city": "a"}, {"city": "b"}]"#,
        "record 1: input `age` is missing; every record needs it",
    ),
    (r#"[{}]"#, "record 0: input `age` is missing"),
    (
        r#"{"age": 30, "city": "a", "user_id": 7}"#,
        "field `user_id` is not an input of the model, which has `age`, `city`; beside \
             `inputs`, a body may have fields of its own",
    ),
    (
        r#"[{"age": 30, "city": "a", "zip": 1}]"#,
        "record 0: unexpected inference input `zip`; the model has `age`, `city`",
    ),
    (
        r#"{"age": 30, "age": 31, "city": "a"}"#,
        "key `age` appears twice in one object",
    ),
    (
        r#"[{"age": 30, "city": "a", "age": 31}]"#,
        "record 0: key `age` appears twice in one object",
    ),
    (
        r#"{"age": [30, 40], "city": ["a"]}"#,
        "input `age` has 2 rows, but `city` has 1; all columns need the same number",
    ),
    (
        r#"{"age": [30, "40"], "city": ["a", "b"]}"#,
        "input `age`: at [1]: expected a number",
    ),
    (
        r#"[{"age": 30, "city": "a"}, {"age": 40, "city": 5}]"#,
        "input `city`: at [1]: expected a string for BYTES, got `5`",
    ),
    (
        r#"[{"age": null, "city": "a"}]"#,
        "input `age`: at [0]: expected a number for INT64",
    ),
    (
        r#"{"age": 30, "city": null}"#,
        "input `city`: expected a string for BYTES",
    ),
    (
        r#"[{"age": 30, "city": "a"}, 5]"#,
        "record 1: malformed JSON at byte 0: expected a JSON",
    ),
    (
        r#"[{"age": [1, 2], "city": "a"}]"#,
        "unexpected shape for input `age`: expected shape [-1, 1], got [1, 2]",
    ),
    (
        r#"{"age": [[[30]]], "city": "a"}"#,
        "unexpected shape for input `age`: expected shape [-1, 1], got [1, 1, 1]",
    ),
    (
        r#"{"data": [{"age": 30, "city": "a"}], "age": 31}"#,
        "input `age` stands beside `data`; send all inputs in one object, as `inputs`",
    ),
    (
        r#"{"data": [[1, 2]]}"#,
        "model `churn` has the inputs `age`, `city`; send them by name",
    ),
    (
        r#"{"user_id": 7}"#,
        "the body has no input: expected `data`",
    ),
    (
        r#"{"data": [], "instances": []}"#,
        "the body has both `data` and `instances`; send one of",
    ),
];

#[test]
fn a_table_that_does_not_fit_is_refused_with_its_field() {
    check_refused(&pipeline(), &MISFITS);
}

#[test]
fn an_optional_field_is_in_every_record_or_in_none() {
    let expected = "record 1: input `bias` must be in every record, or in none";
    let cases = [
        (
            r#"[{"x": [1, 2, 3], "bias": 1}, {"x": [1, 2, 3]}]"#,
            expected,
        ),
        (
            r#"[{"x": [1, 2, 3]}, {"x": [1, 2, 3], "bias": 1}]"#,
            expected,
        ),
    ];
    check_refused(&optional_bias(), &cases);
}

#[test]
fn inputs_that_have_the_name_of_a_key_are_sent_under_inputs() {
    let info = model(vec![
        spec("data", ElementType::F32, &[None]),
        spec("outputs", ElementType::F32, &[None]),
    ]);
    let inputs = r#"{"inputs": {"data": [1], "outputs": [2]}}"#;
    check_same(&info, inputs, &[r#"[{"data": 1, "outputs": 2}]"#]);
    let cases = [
        (
            r#"{"data": [1], "outputs": ["score"]}"#,
            "send them by name",
        ),
        (r#"{"data": [1]}"#, "send them by name"),
    ];
    check_refused(&info, &cases);
    let info = model(vec![
        spec("x", ElementType::F32, &[None]),
        spec("outputs", ElementType::F32, &[None]),
    ]);
    let expected = "input `outputs` has the name of a key of requests; send all inputs in one \
                    object, as `inputs`";
    check_refused(&info, &[(r#"{"x": [1], "outputs": ["score"]}"#, expected)]);
}

#[test]
fn records_need_a_batch_dimension() {
    let info = model(vec![spec("x", ElementType::F32, &[Some(3)])]);
    check_same(&info, r#"{"data": [1, 2, 3]}"#, &[r#"{"x": [1, 2, 3]}"#]);
    let expected = "model `churn` has no batch dimension and takes no array of records";
    check_refused(&info, &[(r#"[{"x": 1}, {"x": 2}, {"x": 3}]"#, expected)]);
}
