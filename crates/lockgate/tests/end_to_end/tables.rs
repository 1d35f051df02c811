//! Tables for a pipeline of scikit-learn with one input for each column.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Connection, Reply};
use crate::process::Lockgate;

fn serve_churn() -> (Lockgate, TempDir) {
    let repository = tempfile::tempdir().unwrap();
    let version = repository.path().join("churn/1");
    fs::create_dir_all(&version).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tables/churn.onnx");
    fs::copy(model, version.join("model.onnx")).unwrap();
    (Lockgate::serve(repository.path(), &[]), repository)
}

fn predict(connection: &mut Connection, body: &Value) -> Reply {
    connection.post_json("/models/churn/predict", body).unwrap()
}

#[test]
fn columns_and_records_get_the_predictions_of_scikit_learn() {
    let (server, _repository) = serve_churn();
    let mut connection = Connection::open(&server.address).unwrap();
    let columns = json!({"age": [25, 32], "income": [30.5, 42], "city": ["Bern", "Basel"]});
    let records = json!([
        {"age": 25, "income": 30.5, "city": "Bern"},
        {"city": "Basel", "income": 42, "age": 32},
    ]);
    let bodies = [
        json!({"inputs": columns}),
        json!({"instances": records}),
        json!({"data": records}),
        columns,
        records,
    ];
    for body in bodies {
        let reply = predict(&mut connection, &body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.json());
        let predictions = &reply.json()["predictions"];
        assert_eq!(predictions["output_label"], json!(["yes", "no"]), "{body}");
        let probabilities = &predictions["output_probability"];
        for (row, expected) in [(0, 0.757_207_8), (1, 0.488_687_4)] {
            let got = probabilities[row][1].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-4, "{body}: {got}");
        }
    }
}

#[test]
fn one_record_gets_one_row_and_a_wrong_one_the_name_of_its_field() {
    let (server, _repository) = serve_churn();
    let mut connection = Connection::open(&server.address).unwrap();
    let record = json!({"age": 25, "income": 30.5, "city": "Bern"});
    let reply = predict(&mut connection, &record);
    assert_eq!(reply.json()["predictions"]["output_label"], json!(["yes"]));
    let cases = [
        (
            json!({"age": 25, "income": 30.5}),
            "input `city` is missing",
        ),
        (
            json!({"age": 25, "income": 1, "city": "Bern", "zip": 1}),
            "field `zip` is not an input",
        ),
        (
            json!({"age": [25, 26], "income": [1], "city": ["a"]}),
            "input `age` has 2 rows",
        ),
        (
            json!([{"age": 25, "income": 1, "city": 7}]),
            "input `city`: at [0]: expected a string",
        ),
        (
            json!([{"age": "x", "income": 1, "city": "a"}]),
            "input `age`: at [0]: expected a number",
        ),
    ];
    for (body, expected) in cases {
        let reply = predict(&mut connection, &body);
        let message = reply.json()["error"]["message"].clone();
        assert_eq!(reply.status, 400, "{body}: {message}");
        assert!(
            message.as_str().unwrap().contains(expected),
            "{body}: {message}"
        );
    }
}
