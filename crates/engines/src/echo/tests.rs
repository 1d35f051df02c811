//! Repeated outputs and failures of the echo engine.

use std::fs;
use std::num::NonZeroUsize;

use contract::testing::conformance;
use contract::{Concurrency, ElementType};

use super::*;

const FILE: &str = r#"{
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "s", "datatype": "BYTES", "shape": [-1], "optional": true}
    ]
}"#;

fn spec(path: &Path, options: &[(&str, &str)]) -> LoadSpec {
    LoadSpec {
        path: path.to_owned(),
        concurrency: Concurrency::of(NonZeroUsize::MIN),
        max_batch_rows: None,
        provider: None,
        options: options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

/// Loads a model file with the given text.
fn load(text: &str, options: &[(&str, &str)]) -> Result<LoadedModel> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(ARTIFACT), text).unwrap();
    let engine = EchoEngine::default();
    let path = engine.find_artifact(folder.path()).unwrap();
    engine.load(&spec(&path, options))
}

fn rows(values: &[f32]) -> Tensor {
    Tensor::from_values([values.len() / 2, 2].into(), values.to_vec()).unwrap()
}

#[test]
fn outputs_repeat_inputs_and_zeros_stand_for_what_is_left_out() {
    let mut loaded = load(FILE, &[]).unwrap();
    assert_eq!(loaded.signature.outputs[1].name, "s");
    assert!(!loaded.signature.outputs[1].is_optional);
    let x = rows(&[1.0, 2.0, 3.0, 4.0]);
    let given = loaded.sessions[0]
        .run(&[Some(x.clone()), None], &[1, 0])
        .unwrap();
    assert_eq!(given[1], x);
    assert_eq!(given[0].element_type(), ElementType::Bytes);
    assert_eq!(given[0].strings().collect::<Vec<_>>(), [b"", b""]);
}

#[test]
fn failures_come_when_set_and_pass() {
    let mut loaded = load(FILE, &[("fail_every", "3"), ("lose_after", "4")]).unwrap();
    let inputs = [Some(rows(&[1.0, 2.0])), None];
    let mut run = || {
        loaded.sessions[0]
            .run(&inputs, &[0])
            .map(|_| ())
            .map_err(|e| e.code())
    };
    let outcomes: Vec<_> = (0..6).map(|_| run()).collect();
    let lost = Err(Code::EngineLost);
    assert_eq!(
        outcomes,
        [Ok(()), Ok(()), Err(Code::EngineFailed), Ok(()), lost, lost]
    );
}

#[test]
fn mistakes_in_the_file_and_the_options_are_reported() {
    let shape = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]}"#;
    let datatype = r#"{"inputs": [{"name": "x", "datatype": "float", "shape": []}]}"#;
    let unlike = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": []}],
                     "outputs": [{"name": "y", "datatype": "FP64", "shape": []}]}"#;
    let no_input = r#"{"inputs": [],
                       "outputs": [{"name": "y", "datatype": "FP64", "shape": []}]}"#;
    let cases = [
        ("{", ("delay_us", "0"), "cannot read the model file"),
        (shape, ("delay_us", "0"), "a size is -1 or more, got -2"),
        (
            datatype,
            ("delay_us", "0"),
            "unknown datatype `float`; known are `BOOL`",
        ),
        (unlike, ("delay_us", "0"), "output `y` repeats input `x`"),
        (
            no_input,
            ("delay_us", "0"),
            "output `y` has no input to repeat",
        ),
        (
            FILE,
            ("delay_us", "soon"),
            "option `delay_us`: expected a number, got `soon`",
        ),
        (
            FILE,
            ("delay", "1"),
            "unknown option `delay`; known are `delay_us`",
        ),
        (FILE, ("fail_load", "no disk"), "no disk"),
    ];
    let mut wrong = Vec::new();
    for (file, option, expected) in cases {
        let message = load(file, &[option]).map(|_| ()).unwrap_err().to_string();
        if !message.contains(expected) {
            wrong.push((expected, message));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn a_given_signature_needs_no_file() {
    let signature = load(FILE, &[]).unwrap().signature;
    let engine = EchoEngine::with_signature(signature.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = engine.find_artifact(folder.path()).unwrap();
    assert_eq!(engine.load(&spec(&path, &[])).unwrap().signature, signature);
    assert_eq!(EchoEngine::default().find_artifact(folder.path()), None);
}

#[test]
fn delays_grow_with_the_rows() {
    let behaviour = load_behaviour(&[("delay_us", "10"), ("delay_per_row_us", "3")]);
    assert_eq!(behaviour.delay, Duration::from_micros(10));
    assert_eq!(behaviour.delay_per_row, Duration::from_micros(3));
}

fn load_behaviour(options: &[(&str, &str)]) -> Behaviour {
    Behaviour::new(&spec(Path::new(""), options).options).unwrap()
}

#[test]
fn the_engine_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ARTIFACT);
    fs::write(&path, FILE).unwrap();
    let engine = EchoEngine::default();
    let broken = conformance::check(&engine, &spec(&path, &[]));
    assert_eq!(broken, Vec::<String>::new());
}
