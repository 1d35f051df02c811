//! The example models reach the accuracy that their training scripts reported, to the row.

use std::fs;

use serde_json::{Value, json};

use crate::http::Connection;
use crate::process::{Lockgate, examples};

struct HeldOut {
    rows: Vec<Vec<f64>>,
    labels: Vec<String>,
}

fn held_out(file: &str) -> HeldOut {
    let text = fs::read_to_string(examples().join("data").join(file)).unwrap();
    let mut held_out = HeldOut {
        rows: Vec::new(),
        labels: Vec::new(),
    };
    for line in text.lines().skip(1) {
        let (row, label) = line.rsplit_once(',').unwrap();
        held_out.rows.push(
            row.split(',')
                .map(|number| number.parse().unwrap())
                .collect(),
        );
        held_out.labels.push(label.to_owned());
    }
    held_out
}

fn metrics() -> Value {
    let text = fs::read_to_string(examples().join("data/metrics.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn count_correct(address: &str, model: &str, version: &str, data: &HeldOut) -> usize {
    let path = format!("/models/{model}/versions/{version}/predict");
    let reply = Connection::open(address)
        .unwrap()
        .post_json(&path, &json!({"data": data.rows}))
        .unwrap();
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let predicted = reply.json()["predictions"]["label"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(predicted.len(), data.labels.len());
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    predicted
        .iter()
        .zip(&data.labels)
        .filter(|(value, label)| text(value) == **label)
        .count()
}

#[test]
fn tabular_models_are_as_accurate_as_when_they_were_trained() {
    let server = Lockgate::serve(&examples().join("models"), &[]);
    let metrics = metrics();
    for (model, version) in [("digits", "1"), ("digits", "2"), ("iris", "1")] {
        let expected = &metrics[model][version];
        let data = held_out(expected["data"].as_str().unwrap());
        assert_eq!(expected["rows"], data.rows.len());
        let n_correct = count_correct(&server.address, model, version, &data);
        assert_eq!(expected["correct"], n_correct, "{model} {version}");
    }
}

#[test]
fn pictures_of_digits_are_recognised_as_when_the_model_was_trained() {
    let server = Lockgate::serve(&examples().join("models"), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    let folder = examples().join("data/digits-png");
    let (mut n_files, mut n_correct) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let label = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .split('-')
            .next()
            .unwrap();
        let headers = [("content-type", "image/png")];
        let body = fs::read(&path).unwrap();
        let reply = connection.call("POST", "/predict/image?model=digits-image", &headers, &body);
        let reply = reply.unwrap().json();
        assert_eq!(reply["predictions"].as_array().unwrap().len(), 5, "{reply}");
        n_files += 1;
        let label: u64 = label.parse().unwrap();
        n_correct += usize::from(reply["predictions"][0]["class_id"] == label);
    }
    let expected = &metrics()["digits-image"]["1"];
    assert_eq!(expected["rows"], n_files);
    assert_eq!(expected["correct"], n_correct);
}
