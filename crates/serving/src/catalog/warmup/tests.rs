//! Warm-up of sessions that record the shapes of their inputs.

use std::sync::{Arc, Mutex};

use contract::testing::model_info;
use contract::{ElementType, Shape};

use super::*;

#[derive(Debug, Default)]
struct RecordingSession {
    shapes: Arc<Mutex<Vec<String>>>,
    /// A shape whose run fails.
    failing: Option<(String, Code)>,
    /// Rows of the output; those of the input when `None`.
    output_rows: Option<usize>,
}

impl Session for RecordingSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let shown: Vec<_> = inputs
            .iter()
            .map(|input| match input {
                Some(tensor) => tensor.shape().to_string(),
                None => "-".to_owned(),
            })
            .collect();
        let shown = shown.join(" ");
        self.shapes.lock().unwrap().push(shown.clone());
        if let Some((failing, code)) = &self.failing
            && *failing == shown
        {
            return Err(Error::new(*code, "node `Gather` failed"));
        }
        let rows = inputs.iter().flatten().next().map_or(1, Tensor::n_rows);
        let rows = self.output_rows.unwrap_or(rows);
        let output = Tensor::from_values(Shape::new(&[rows]), vec![0.0_f32; rows])?;
        Ok(outputs.iter().map(|_| output.clone()).collect())
    }

    fn release_memory(&mut self) {
        self.shapes.lock().unwrap().push("release".to_owned());
    }
}

fn dim(word: &str) -> Dimension {
    match (word, word.parse()) {
        (_, Ok(size)) => Dimension::Fixed(size),
        ("?", Err(_)) => Dimension::Dynamic,
        (symbol, Err(_)) => Dimension::Symbol(symbol.to_owned()),
    }
}

/// `x: n 3` is an input with a symbol and a fixed dimension; `x?: n` may be left out.
fn input(text: &str) -> TensorSpec {
    let (name, dims) = text.split_once(':').unwrap();
    TensorSpec {
        name: name.trim_end_matches('?').to_owned(),
        element_type: if name == "text" {
            ElementType::Bytes
        } else {
            ElementType::F32
        },
        dims: dims.split_whitespace().map(dim).collect(),
        is_optional: name.ends_with('?'),
    }
}

fn info(inputs: &[&str]) -> ModelInfo {
    let inputs: Vec<_> = inputs.iter().map(|text| input(text)).collect();
    let rows = inputs[0].dims.first().cloned().into_iter().collect();
    let output = TensorSpec {
        name: "y".to_owned(),
        dims: rows,
        ..input("y:")
    };
    let signature = Signature {
        inputs,
        outputs: vec![output],
    };
    let mut info = model_info("m", "1", signature);
    info.max_request_rows = info.max_request_rows.and(NonZeroUsize::new(8));
    info
}

fn settings(rows: &[usize], shapes: &[(&str, &[usize])]) -> Warmup {
    let shapes = shapes
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()));
    Warmup {
        is_enabled: true,
        batch_rows: rows
            .iter()
            .filter_map(|&rows| NonZeroUsize::new(rows))
            .collect(),
        shapes: shapes.collect(),
    }
}

/// Returns the shapes that were run, and the result.
fn warmed(info: &ModelInfo, settings: &Warmup, session: RecordingSession) -> String {
    let shapes = Arc::clone(&session.shapes);
    let result = warm_up(info, settings, &mut [Box::new(session) as Box<dyn Session>]);
    let mut shown = shapes.lock().unwrap().join(", ");
    if let Err(error) = result {
        shown.push_str(&format!(" -> {error}"));
    }
    shown
}

type Case = (
    &'static str,
    &'static [&'static str],
    &'static [usize],
    &'static [(&'static str, &'static [usize])],
    &'static str,
);

/// The promise, inputs, rows, shapes, and the expected runs.
const CASES: &[Case] = &[
    (
        "batches of the asked sizes",
        &["x:n 3"],
        &[1, 4],
        &[],
        "[1, 3], [4, 3]",
    ),
    (
        "never above the limit",
        &["x:n 3"],
        &[1, 99],
        &[],
        "[1, 3], [8, 3]",
    ),
    (
        "once without a batch dimension",
        &["x:1 3"],
        &[1, 4],
        &[],
        "[1, 3]",
    ),
    (
        "a dynamic dimension is one",
        &["x:n ?"],
        &[2],
        &[],
        "[2, 1]",
    ),
    (
        "or as the settings say",
        &["x:n ?"],
        &[2],
        &[("x", &[1, 7])],
        "[2, 7]",
    ),
    (
        "a symbol has one size everywhere",
        &["ids:n len", "mask:n len"],
        &[2],
        &[("ids", &[1, 7])],
        "[2, 7] [2, 7]",
    ),
    (
        "an optional input is left out",
        &["x:n", "state?:n 4"],
        &[1],
        &[],
        "[1] -",
    ),
    (
        "unless its shape is given",
        &["x:n", "state?:n 4"],
        &[1],
        &[("state", &[1, 4])],
        "[1] [1, 4]",
    ),
    ("strings are empty", &["text:n 2"], &[2], &[], "[2, 2]"),
    (
        "an unknown input is refused",
        &["x:n"],
        &[1],
        &[("z", &[1])],
        " -> `warmup.shapes` in `model.yaml` names input `z`, which the model does not have",
    ),
    (
        "a shape that does not fit is refused",
        &["x:n 3"],
        &[1],
        &[("x", &[1, 4])],
        " -> `warmup.shapes` in `model.yaml`: input `x` has shape [-1, 3], got [1, 4]",
    ),
];

#[test]
fn shapes_follow_from_signature_and_settings() {
    let mut failures = Vec::new();
    for (promise, inputs, rows, shapes, expected) in CASES {
        let shown = warmed(
            &info(inputs),
            &settings(rows, shapes),
            RecordingSession::default(),
        );
        if shown != *expected {
            failures.push(format!("{promise}: {shown:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

fn failing(shape: &str, code: Code) -> RecordingSession {
    RecordingSession {
        failing: Some((shape.to_owned(), code)),
        ..RecordingSession::default()
    }
}

#[test]
fn a_run_that_fails_refuses_nothing_unless_the_session_is_lost() {
    for (inputs, shapes) in [("x:n 3", [1, 3]), ("x:n ?", [1, 1])] {
        let info = info(&[inputs]);
        let failing_at = |code| failing(&format!("{shapes:?}"), code);
        let shown = warmed(
            &info,
            &settings(&[1, 4], &[]),
            failing_at(Code::EngineFailed),
        );
        assert_eq!(shown, format!("{shapes:?}, [4, {}]", shapes[1]));
        let shown = warmed(&info, &settings(&[1, 4], &[]), failing_at(Code::EngineLost));
        let expected = format!("{shapes:?} -> warm-up with 1 row: node `Gather` failed");
        assert_eq!(shown, expected);
    }
    let given = settings(&[1], &[("x", &[1, 7])]);
    let failing = failing("[1, 7]", Code::EngineFailed);
    assert_eq!(warmed(&info(&["x:n ?"]), &given, failing), "[1, 7]");
}

#[test]
fn outputs_that_do_not_follow_the_rows_refuse_nothing() {
    let session = RecordingSession {
        output_rows: Some(1),
        ..RecordingSession::default()
    };
    let shown = warmed(&info(&["x:n"]), &settings(&[1, 4], &[]), session);
    assert_eq!(shown, "[1], [4]");
}

#[test]
fn memory_of_the_warm_up_is_released_by_a_run_of_the_smallest_batch() {
    let released = |info: &ModelInfo, settings: &Warmup| {
        let session = RecordingSession::default();
        let shapes = Arc::clone(&session.shapes);
        let mut sessions: [Box<dyn Session>; 1] = [Box::new(session)];
        release_memory(info, settings, &mut sessions).unwrap();
        shapes.lock().unwrap().join(", ")
    };
    let (mut info, mut settings) = (info(&["x: n 3"]), settings(&[1, 8], &[]));
    assert_eq!(released(&info, &settings), "release, [1, 3]");
    settings.is_enabled = false;
    assert_eq!(released(&info, &settings), "release");
    settings.is_enabled = true;
    info.max_request_rows = None;
    assert_eq!(released(&info, &settings), "release, [1, 3]");
}
