//! Requests get the same answers in batches as alone, and valid models are served.

use std::fs;
use std::thread;

use contract::{ElementType, Tensor};
use engines::testing::{OnnxModel, dims};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::Connection;
use crate::process::{Lockgate, examples};

const N_CALLERS: usize = 16;

/// Requests of each caller.
const N_REQUESTS: usize = 100;

fn model(inputs: &[(&str, ElementType, &str)], outputs: &[(&str, ElementType, &str)]) -> OnnxModel {
    let mut model = OnnxModel::new();
    for (name, element_type, shape) in inputs {
        model = model.input(name, *element_type, &dims(shape));
    }
    for (name, element_type, shape) in outputs {
        model = model.output(name, *element_type, &dims(shape));
    }
    model
}

fn floats(input: &str, output: &str) -> OnnxModel {
    let (x, y) = (
        ("x", ElementType::F32, input),
        ("y", ElementType::F32, output),
    );
    model(&[x], &[y])
}

/// A signal whose length is the first dimension.
fn peak_normaliser() -> OnnxModel {
    floats("samples", "samples")
        .node("Abs", &["x"], &["a"])
        .node_with("ReduceMax", &["a"], &["m"], &[("keepdims", 0)])
        .node("Div", &["x", "m"], &["y"])
}

/// A text whose length is the first dimension.
fn self_attention(shape: &str) -> OnnxModel {
    floats(shape, shape)
        .node("Transpose", &["x"], &["t"])
        .node("MatMul", &["x", "t"], &["s"])
        .node("Softmax", &["s"], &["p"])
        .node("MatMul", &["p", "x"], &["y"])
}

/// A state that goes from step to step along the first dimension, as in time-major layers.
fn running_sum() -> OnnxModel {
    let axis = Tensor::from_values([].into(), vec![0_i64]).unwrap();
    floats("time,batch,2", "time,batch,2")
        .initializer("axis", &axis)
        .node("CumSum", &["x", "axis"], &["y"])
}

/// Products of numbers that are quantised by the largest of them all.
fn dynamically_quantised() -> OnnxModel {
    let weights = Tensor::from_values([2, 2].into(), vec![3_u8, 200, 90, 7]).unwrap();
    floats("batch,2", "batch,2")
        .initializer("w", &weights)
        .node("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"])
        .node("MatMulInteger", &["q", "w", "zero"], &["i"])
        .node_with("Cast", &["i"], &["f"], &[("to", 1)])
        .node("Mul", &["f", "scale"], &["y"])
}

fn time_major() -> OnnxModel {
    floats("batch,time,4", "time,batch,4").transpose("x", "y", &[1, 0, 2])
}

fn unnamed_time_major() -> OnnxModel {
    floats("?,?,4", "?,?,4").transpose("x", "y", &[1, 0, 2])
}

fn one_row_per_object() -> OnnxModel {
    model(
        &[("x", ElementType::F32, "?,8")],
        &[("y", ElementType::I64, "?,2")],
    )
    .node("NonZero", &["x"], &["t"])
    .node("Transpose", &["t"], &["y"])
}

fn resize_sizes() -> OnnxModel {
    let (x, sizes) = (
        ("x", ElementType::F32, "1,1,2,2"),
        ("sizes", ElementType::I64, "4"),
    );
    model(&[x, sizes], &[("y", ElementType::F32, "a,b,c,d")]).node(
        "Resize",
        &["x", "", "", "sizes"],
        &["y"],
    )
}

fn integer_division() -> OnnxModel {
    let input = |name| (name, ElementType::I64, "n");
    model(&[input("a"), input("b")], &[("y", ElementType::I64, "n")]).node(
        "Div",
        &["a", "b"],
        &["y"],
    )
}

fn text_to_number() -> OnnxModel {
    model(
        &[("text", ElementType::Bytes, "n")],
        &[("y", ElementType::F32, "n")],
    )
    .node_with("Cast", &["text"], &["y"], &[("to", 1)])
}

fn unknown_names_one_batch() -> OnnxModel {
    let input = |name, shape| (name, ElementType::F32, shape);
    let inputs = [input("a", "unk__13,3"), input("b", "unk__14,3")];
    model(&inputs, &[("y", ElementType::F32, "unk__15,3")]).node("Add", &["a", "b"], &["y"])
}

/// Exports in which only the input has names, and the runtime or the exporter makes up the others.
fn half_named(output: &str) -> OnnxModel {
    floats("batch,?", output).node("Relu", &["x"], &["y"])
}

fn none_for_every_size() -> OnnxModel {
    let axis = Tensor::from_values([1].into(), vec![1_i64]).unwrap();
    floats("None,None", "None")
        .initializer("axis", &axis)
        .node_with("ReduceSum", &["x", "axis"], &["y"], &[("keepdims", 0)])
}

/// A repository of models, each with the text of its `model.yaml`.
fn repository(models: &[(&str, OnnxModel, &str)]) -> TempDir {
    let repository = tempfile::tempdir().unwrap();
    for (name, model, settings) in models {
        let folder = repository.path().join(name);
        fs::create_dir_all(folder.join("1")).unwrap();
        fs::write(folder.join("1/model.onnx"), model.to_bytes()).unwrap();
        fs::write(folder.join("model.yaml"), settings).unwrap();
    }
    repository
}

/// The output of a request, or the reply when there is none.
fn ask(connection: &mut Connection, model: &str, inputs: &Value) -> Value {
    let path = format!("/models/{model}/predict");
    let reply = connection
        .post_json(&path, &json!({ "inputs": inputs }))
        .unwrap();
    let json = reply.json();
    json.get("predictions").cloned().unwrap_or(json)
}

/// The decision of a server about batching for a model.
fn batching(connection: &mut Connection, model: &str) -> (bool, String) {
    let reply = connection.get(&format!("/models/{model}")).unwrap().json();
    let settings = &reply["versions"][0]["settings"];
    let reason = settings["batching_reason"].as_str();
    let reason = reason.unwrap_or_else(|| panic!("{reply}")).to_owned();
    let is_batching = settings["batching"] == true;
    let config = connection
        .get(&format!("/v2/models/{model}/config"))
        .unwrap()
        .json();
    assert_eq!(config["max_batch_size"] != 0, is_batching, "{config}");
    (is_batching, reason)
}

/// Sends these requests from many callers at once, and compares with the answers alone.
fn check_joined_callers(server: &Lockgate, model: &str, requests: &[Value]) {
    let mut connection = Connection::open(&server.address).unwrap();
    let alone: Vec<_> = requests
        .iter()
        .map(|inputs| ask(&mut connection, model, inputs))
        .collect();
    let wrong = |caller: usize| {
        let mut connection = Connection::open(&server.address).unwrap();
        let mut wrong = Vec::new();
        for number in 0..N_REQUESTS {
            let place = (caller + number) % requests.len();
            let answer = ask(&mut connection, model, &requests[place]);
            if answer != alone[place] {
                wrong.push(format!("{} of {}: {answer}", alone[place], requests[place]));
            }
        }
        wrong
    };
    let wrong: Vec<_> = thread::scope(|scope| {
        let callers = (0..N_CALLERS).map(|caller| scope.spawn(move || wrong(caller)));
        let callers: Vec<_> = callers.collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "{model}: {} wrong, such as {}",
        wrong.len(),
        wrong[0]
    );
}

fn texts(lengths: std::ops::Range<usize>) -> Vec<Value> {
    let word = |length: usize, place: usize| {
        let value = (length * 7 + place * 3) % 11;
        json!([value as f64 / 4.0 - 1.0, place as f64 / 8.0])
    };
    let text =
        |length| json!({"x": (0..length).map(|place| word(length, place)).collect::<Vec<_>>()});
    lengths.map(text).collect()
}

#[test]
fn rows_that_depend_on_each_other_are_never_joined() {
    let repository = repository(&[
        ("peak", peak_normaliser(), ""),
        ("attention", self_attention("sequence,2"), ""),
        ("unnamed", self_attention("?,2"), ""),
        ("recurrent", running_sum(), ""),
        ("quantised", dynamically_quantised(), ""),
        ("objects", one_row_per_object(), ""),
        ("unnamed-time-major", unnamed_time_major(), ""),
    ]);
    let server = Lockgate::serve(repository.path(), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    for entry in fs::read_dir(repository.path()).unwrap() {
        let model = entry.unwrap().file_name().into_string().unwrap();
        let (is_batching, reason) = batching(&mut connection, &model);
        assert!(!is_batching, "{model}: {reason}");
        assert!(reason.contains("in output `y`"), "{model}: {reason}");
        assert!(
            reason.contains("`batching.enabled: true`"),
            "{model}: {reason}"
        );
    }
    let peaks: Vec<_> = [0.001, 0.5].iter().map(|x| json!({"x": [x]})).collect();
    for x in &peaks {
        assert_eq!(ask(&mut connection, "peak", x), json!([1.0]));
    }
    check_joined_callers(&server, "peak", &peaks);
    check_joined_callers(&server, "attention", &texts(2..20));
    let steps = |size: f64| json!({"x": [[[size, 1.0]], [[2.0 * size, 1.0]]]});
    check_joined_callers(
        &server,
        "recurrent",
        &[steps(1.0), steps(100.0), steps(0.01)],
    );
    check_joined_callers(
        &server,
        "quantised",
        &[json!({"x": [[100.0, 5.0]]}), json!({"x": [[0.1, 0.2]]})],
    );
    let picture = |n_objects: usize| {
        let pixels: Vec<_> = (0..8).map(|place| usize::from(place < n_objects)).collect();
        json!({"x": [pixels]})
    };
    check_joined_callers(&server, "objects", &(0..5).map(picture).collect::<Vec<_>>());
}

#[test]
fn a_model_without_one_batch_dimension_runs_requests_one_by_one() {
    let repository = repository(&[("time-major", time_major(), "")]);
    let server = Lockgate::serve(repository.path(), &[]);
    let rows = |value: f64| json!({"x": vec![vec![[value; 4]; 4]; 2]});
    check_joined_callers(&server, "time-major", &[rows(1.0), rows(2.0), rows(3.0)]);
}

#[test]
fn independent_rows_are_joined_without_a_setting() {
    let repository = repository(&[
        ("sum", unknown_names_one_batch(), ""),
        (
            "relu",
            floats("n,3", "n,3").node("Relu", &["x"], &["y"]),
            "",
        ),
        ("division", integer_division(), ""),
        ("number", text_to_number(), ""),
        ("sizes", none_for_every_size(), ""),
        (
            "pytorch",
            half_named("Reluoutput_dim_0,Reluoutput_dim_1"),
            "",
        ),
        ("inferred", half_named("Relu_0_o0__d0,unk__2"), ""),
        ("words", half_named("dynamic,dynamic"), ""),
    ]);
    let server = Lockgate::serve(repository.path(), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    let models = [
        "sum", "relu", "division", "number", "sizes", "pytorch", "inferred", "words",
    ];
    for model in models {
        let (is_batching, reason) = batching(&mut connection, model);
        assert!(is_batching, "{model}: {reason}");
    }
    let row = |value: f64| json!({"a": vec![[value; 3]], "b": vec![[1.0; 3]]});
    check_joined_callers(&server, "sum", &[row(1.0), row(20.0), row(0.5)]);
    let sums = [
        json!({"x": [[1, 2, 3]]}),
        json!({"x": [[1, 2, 3, 4, 5], [1, 1, 1, 1, 1]]}),
    ];
    assert_eq!(ask(&mut connection, "sizes", &sums[0]), json!([6.0]));
    assert_eq!(ask(&mut connection, "sizes", &sums[1]), json!([15.0, 5.0]));
    check_joined_callers(&server, "sizes", &sums);
}

#[test]
fn the_example_models_are_joined() {
    let server = Lockgate::serve(&examples().join("models"), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    let models = connection.get("/models").unwrap().json();
    for model in models["models"].as_array().unwrap() {
        let (is_batching, reason) = batching(&mut connection, model["name"].as_str().unwrap());
        assert!(is_batching, "{model}: {reason}");
    }
}

#[test]
fn batching_that_is_asked_for_is_obeyed_with_a_doubt_that_names_the_output() {
    let enabled = "batching: {enabled: true}";
    let repository = repository(&[
        ("attention", self_attention("sequence,2"), enabled),
        ("sum", unknown_names_one_batch(), enabled),
        ("time-major", time_major(), enabled),
    ]);
    let server = Lockgate::serve(repository.path(), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    let (is_batching, reason) = batching(&mut connection, "attention");
    assert!(is_batching && reason.contains("in output `y`"), "{reason}");
    let (is_batching, reason) = batching(&mut connection, "time-major");
    assert!(is_batching && reason.contains("in output `y`"), "{reason}");
    let expected = (true, "`batching.enabled` is true".to_owned());
    assert_eq!(batching(&mut connection, "sum"), expected);
    let row = |value: f64| json!({"a": vec![[value; 3]], "b": vec![[1.0; 3]]});
    check_joined_callers(&server, "sum", &[row(1.0), row(20.0), row(0.5)]);
    let rows = |value: f64| json!({"x": vec![vec![[value; 4]; 3]; 2]});
    check_joined_callers(&server, "time-major", &[rows(1.0), rows(2.0), rows(3.0)]);
}

#[test]
fn a_model_that_fails_on_made_up_inputs_is_served() {
    let repository = repository(&[
        ("resize", resize_sizes(), ""),
        ("division", integer_division(), ""),
        ("number", text_to_number(), ""),
    ]);
    let server = Lockgate::serve(repository.path(), &[]);
    let mut connection = Connection::open(&server.address).unwrap();
    let picture = json!({"x": [[[[1, 2], [3, 4]]]], "sizes": [1, 1, 4, 2]});
    let resized = json!([[[[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [3.0, 4.0]]]]);
    assert_eq!(ask(&mut connection, "resize", &picture), resized);
    let quotient = ask(
        &mut connection,
        "division",
        &json!({"a": [7, 9], "b": [2, 3]}),
    );
    assert_eq!(quotient, json!([3, 3]));
    let number = ask(&mut connection, "number", &json!({"text": ["1.5", "-2"]}));
    assert_eq!(number, json!([1.5, -2.0]));
}
