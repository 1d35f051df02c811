//! Trials against models that are functions of this file.

use std::cell::Cell;
use std::fmt;

use contract::{Dimension, ElementType, TensorSpec};

use super::*;
use crate::catalog::settings::Warmup;

/// Runs a function of the rows of its first input, each a row of numbers.
struct Model<F> {
    function: F,
    n_runs: usize,
}

impl<F> fmt::Debug for Model<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

impl<F: FnMut(Vec<Vec<f32>>) -> Result<Vec<Tensor>> + Send> Session for Model<F> {
    fn run(&mut self, inputs: &[Option<Tensor>], _: &[usize]) -> Result<Vec<Tensor>> {
        self.n_runs += 1;
        let x = inputs[0].as_ref().unwrap();
        let values = numbers(x);
        let width = x.shape().row_elements().unwrap().max(1);
        (self.function)(values.chunks(width).map(<[f32]>::to_vec).collect())
    }
}

/// The elements of a tensor as numbers; text must be a number.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    if let Some(integers) = tensor.to_vec::<i64>() {
        return integers.into_iter().map(|n| n as f32).collect();
    }
    if let Some(floats) = tensor.to_vec() {
        return floats;
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let numbers = tensor
        .strings()
        .map(|text| number(text).unwrap_or(f32::NAN));
    numbers.collect()
}

fn failed(message: &'static str) -> Error {
    Error::new(Code::EngineFailed, message)
}

/// One row of outputs for each row.
fn rows(values: &[Vec<f32>]) -> Result<Vec<Tensor>> {
    let width = values.first().map_or(0, Vec::len);
    let shape = [values.len(), width].into();
    Ok(vec![Tensor::from_values(shape, values.concat())?])
}

fn integers(values: Vec<i64>) -> Result<Vec<Tensor>> {
    Ok(vec![Tensor::from_values([values.len()].into(), values)?])
}

fn each(values: Vec<Vec<f32>>, function: impl Fn(f32) -> f32) -> Vec<Vec<f32>> {
    let row = |row: Vec<f32>| row.into_iter().map(&function).collect();
    values.into_iter().map(row).collect()
}

fn largest(values: &[Vec<f32>]) -> f32 {
    values
        .iter()
        .flatten()
        .fold(0.0, |most: f32, value| most.max(value.abs()))
}

fn signature(element_type: ElementType, dims: &str) -> Signature {
    let dim = |word: &str| match word.parse() {
        Ok(size) => Dimension::Fixed(size),
        Err(_) => Dimension::Symbol(word.to_owned()),
    };
    let spec = |name: &str, element_type| TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: dims.split(' ').map(dim).collect(),
        is_optional: false,
    };
    Signature {
        inputs: vec![spec("x", element_type)],
        outputs: vec![spec("y", ElementType::F32)],
    }
}

fn warmup(shape: Option<&[usize]>) -> Warmup {
    let shapes = shape.map(|shape| ("x".to_owned(), shape.to_vec()));
    Warmup {
        is_enabled: true,
        batch_rows: [].into(),
        shapes: shapes.into_iter().collect(),
    }
}

fn tried(
    signature: &Signature,
    max_rows: usize,
    function: impl FnMut(Vec<Vec<f32>>) -> Result<Vec<Tensor>> + Send,
) -> (Invariance, usize) {
    let mut model = Model {
        function,
        n_runs: 0,
    };
    let max_rows = NonZeroUsize::new(max_rows).unwrap();
    let found = prove(signature, &warmup(None), max_rows, &mut model).unwrap();
    (found, model.n_runs)
}

fn table(function: impl FnMut(Vec<Vec<f32>>) -> Result<Vec<Tensor>> + Send) -> Invariance {
    tried(&signature(ElementType::F32, "batch 4"), 32, function).0
}

fn is_disproved(found: &Invariance) -> bool {
    matches!(found, Invariance::Disproved { output, .. } if output == "y")
}

#[test]
fn independent_rows_are_proven() {
    assert_eq!(
        table(|x| rows(&each(x, |v| v * 2.0 + 1.0))),
        Invariance::Proven
    );
    assert_eq!(
        table(|x| integers(x.iter().map(|row| i64::from(row[0].to_bits())).collect())),
        Invariance::Proven
    );
    for max_rows in [2, 3, 5] {
        let signature = signature(ElementType::F32, "batch 4");
        let found = tried(&signature, max_rows, |x| {
            assert!(x.len() <= max_rows, "{} rows of {max_rows}", x.len());
            rows(&x)
        });
        assert_eq!(found.0, Invariance::Proven);
    }
}

#[test]
fn rows_that_meet_are_disproved_wherever_they_meet() {
    let found = table(|x| {
        let peak = largest(&x);
        rows(&each(x, |v| v / peak))
    });
    assert!(is_disproved(&found), "the largest of all: {found:?}");
    let found = table(|x| {
        let first = x[0][0];
        rows(&each(x, |v| v - first))
    });
    assert!(is_disproved(&found), "the first row: {found:?}");
    let found = table(|x| {
        let n_rows = x.len() as f32;
        rows(&each(x, |v| v * n_rows))
    });
    assert!(is_disproved(&found), "the number of rows: {found:?}");
    let found = table(|x| {
        let step = largest(&x) / 127.0;
        rows(&each(x, |v| (v / step).round() * step))
    });
    assert!(is_disproved(&found), "a scale of quantisation: {found:?}");
    let found = table(|x| {
        let mean = x.concat().iter().sum::<f32>() / x.len() as f32;
        rows(&each(x, |v| v + mean * 0.003))
    });
    assert!(is_disproved(&found), "a faint mean of all: {found:?}");
    let found = table(|x| {
        let mut state = 0.0;
        rows(
            &x.iter()
                .map(|row| {
                    state = 0.5 * state + row[0];
                    vec![state]
                })
                .collect::<Vec<_>>(),
        )
    });
    assert!(
        is_disproved(&found),
        "a state that goes from row to row: {found:?}"
    );
    let found = table(|x| {
        let rank = |row: &Vec<f32>| x.iter().filter(|other| other[0] < row[0]).count();
        integers(
            x.iter()
                .map(|row| i64::try_from(rank(row)).unwrap())
                .collect(),
        )
    });
    assert!(is_disproved(&found), "a rank: {found:?}");
}

#[test]
fn outputs_that_do_not_follow_the_rows_are_disproved_by_name() {
    let found = table(|x| {
        let above: Vec<_> = x.into_iter().filter(|row| row[0] > 0.0).collect();
        rows(&above)
    });
    let Invariance::Disproved { output, detail } = found else {
        panic!("{found:?}");
    };
    assert_eq!(output, "y");
    assert!(detail.contains("rows of input"), "{detail}");
}

#[test]
fn other_kernels_for_other_sizes_are_no_difference() {
    let found = table(|x| {
        let rounding = 1.0 + 1e-4 * x.len() as f32;
        rows(&each(x, |v| v * rounding))
    });
    assert_eq!(found, Invariance::Proven);
}

#[test]
fn a_random_model_is_not_judged() {
    let n_runs = Cell::new(0.0);
    let found = table(move |x| {
        n_runs.set(n_runs.get() + 1.0);
        rows(&each(x, |v| v + n_runs.get()))
    });
    let output = "y".to_owned();
    assert_eq!(found, Invariance::Nondeterministic { output });
}

#[test]
fn values_and_sizes_that_the_model_takes_are_found() {
    let found = tried(&signature(ElementType::Bytes, "n 1"), 32, |x| {
        match x.iter().flatten().any(|number| number.is_nan()) {
            true => Err(failed("`Cast` of text that is no number")),
            false => rows(&x),
        }
    });
    assert_eq!(found.0, Invariance::Proven, "numerals");
    let found = tried(&signature(ElementType::I64, "n 1"), 32, |x| {
        match x.iter().flatten().any(|number| *number == 0.0) {
            true => Err(failed("`Div` by zero")),
            false => rows(&each(x, |v| 60.0 / v)),
        }
    });
    assert_eq!(found.0, Invariance::Proven, "no zeros");
    let found = tried(&signature(ElementType::F32, "n width"), 32, |x| {
        match x[0].len() == 784 {
            true => rows(&x),
            false => Err(failed("`MatMul` needs 784 columns")),
        }
    });
    assert_eq!(found.0, Invariance::Proven, "a width");
}

#[test]
fn inconclusive_trials_are_reported_with_their_cause() {
    let reason = |found| {
        let Invariance::Unprovable { reason } = found else {
            panic!("{found:?}");
        };
        reason
    };
    let found = table(|_| Err(failed("node `Gather` failed")));
    assert_eq!(
        reason(found),
        "the model cannot run made-up inputs: node `Gather` failed"
    );
    let found = table(|x| rows(&each(x, |_| f32::NAN)));
    assert_eq!(
        reason(found),
        "its outputs are the same for all made-up inputs"
    );
    let found = table(|x| rows(&each(x, |_| 1.0)));
    assert_eq!(
        reason(found),
        "its outputs are the same for all made-up inputs"
    );
    let found = table(|x| match x.len() > 3 {
        true => Err(failed("4 rows are too many")),
        false => rows(&x),
    });
    assert_eq!(
        reason(found),
        "requests that run alone fail together: 4 rows are too many"
    );
}

#[test]
fn neighbours_that_cannot_run_prove_nothing_about_a_request() {
    let n_runs = Cell::new(0);
    // The seventh run of a trial, after three requests twice, is the batch; the eighth has other
    // neighbours.
    let found = table(move |x| {
        n_runs.set(n_runs.get() + 1);
        match n_runs.get() == 8 {
            true => Err(failed("a neighbour divides by zero")),
            false => rows(&x),
        }
    });
    assert_eq!(found, Invariance::Proven);
}

#[test]
fn a_session_that_is_lost_ends_the_trial() {
    let mut model = Model {
        function: |_| Err(Error::new(Code::EngineLost, "the device is gone")),
        n_runs: 0,
    };
    let signature = signature(ElementType::F32, "batch 4");
    let error = prove(&signature, &warmup(None), NonZeroUsize::MAX, &mut model).unwrap_err();
    assert_eq!((error.code(), model.n_runs), (Code::EngineLost, 1));
}

#[test]
fn given_shapes_are_used_as_they_are() {
    let mut model = Model {
        function: |x: Vec<Vec<f32>>| {
            assert_eq!(x[0].len(), 17);
            rows(&x)
        },
        n_runs: 0,
    };
    let signature = signature(ElementType::F32, "n width");
    let warmup = warmup(Some(&[1, 17]));
    let found = prove(&signature, &warmup, NonZeroUsize::MAX, &mut model);
    assert_eq!(found.unwrap(), Invariance::Proven);
}

#[tokio::test(start_paused = true)]
async fn a_slow_model_gets_one_short_trial() {
    let slow = |x: Vec<Vec<f32>>| {
        let advance =
            tokio::time::advance(Duration::from_secs(2) * u32::try_from(x.len()).unwrap());
        futures_util::FutureExt::now_or_never(advance);
        rows(&x)
    };
    let found = tried(&signature(ElementType::F32, "batch 4"), 32, slow);
    assert_eq!(found, (Invariance::Proven, 7));
}
