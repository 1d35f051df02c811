//! The kit itself: a right engine passes, and every fault is noticed by its promise.

use std::path::{Path, PathBuf};

use super::*;
use crate::concurrency::SessionLayout;
use crate::error::{Error, Result};

/// Doubles its input, unless it has a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    TooFewSessions,
    WrongDatatype,
    KeepsState,
    BreaksAfterFailure,
    IgnoresOrder,
    MixesRows,
    RefusesNoRows,
    TakesAnyOption,
    TakesNoInputs,
}

#[derive(Debug)]
struct Doubler(Fault);

#[derive(Debug)]
struct DoublerSession {
    fault: Fault,
    n_runs: u8,
    has_failed: bool,
}

fn tensor_spec(name: &str) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![Dimension::Dynamic, Dimension::Fixed(2)],
        is_optional: false,
    }
}

impl Engine for Doubler {
    fn name(&self) -> &'static str {
        "doubler"
    }

    fn platform(&self) -> &'static str {
        "doubler"
    }

    fn framework(&self) -> &'static str {
        "doubler"
    }

    fn find_artifact(&self, folder: &Path) -> Option<PathBuf> {
        folder.exists().then(|| folder.to_owned())
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        if let (Some(key), true) = (spec.options.keys().next(), self.0 != Fault::TakesAnyOption) {
            return Err(failed(format!("unknown option `{key}`")));
        }
        let n_sessions = match self.0 == Fault::TooFewSessions {
            true => 1,
            false => spec.concurrency.or_one_per_core().0.get(),
        };
        let session = |_| -> Box<dyn Session> {
            Box::new(DoublerSession {
                fault: self.0,
                n_runs: 0,
                has_failed: false,
            })
        };
        Ok(LoadedModel {
            signature: Signature {
                inputs: vec![tensor_spec("x")],
                outputs: vec![tensor_spec("doubled"), tensor_spec("tripled")],
            },
            metadata: Default::default(),
            layout: layout(spec),
            data_dependent_cost: None,
            labels: Vec::new(),
            pads_rows: false,
            sessions: (0..n_sessions).map(session).collect(),
        })
    }
}

impl DoublerSession {
    fn output(&self, tensor: &Tensor, index: usize) -> Result<Tensor> {
        let factor = index as f32 + 2.0;
        let extra = if self.fault == Fault::KeepsState {
            f32::from(self.n_runs)
        } else if self.fault == Fault::MixesRows {
            tensor.n_rows() as f32
        } else if self.fault == Fault::BreaksAfterFailure && self.has_failed {
            1.0
        } else {
            0.0
        };
        let values = tensor.to_vec::<f32>().unwrap_or_default();
        let values: Vec<f32> = values.iter().map(|value| value * factor + extra).collect();
        match self.fault == Fault::WrongDatatype {
            true => Tensor::from_values(tensor.shape().clone(), vec![0_i64; values.len()]),
            false => Tensor::from_values(tensor.shape().clone(), values),
        }
    }

    fn try_run(&self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let zeros = Tensor::from_values([1, 2].into(), vec![0_f32; 2])?;
        let tensor = match inputs {
            [Some(tensor)] if tensor.element_type() == ElementType::F32 => tensor,
            [None] if self.fault == Fault::TakesNoInputs => &zeros,
            _ => return Err(failed("no input".to_owned())),
        };
        if self.fault == Fault::RefusesNoRows && tensor.n_rows() == 0 {
            return Err(failed("no rows".to_owned()));
        }
        if outputs.iter().any(|&index| index > 1) {
            return Err(failed("no such output".to_owned()));
        }
        let mut wanted = outputs.to_vec();
        if self.fault == Fault::IgnoresOrder {
            wanted.sort_unstable();
        }
        wanted
            .into_iter()
            .map(|index| self.output(tensor, index))
            .collect()
    }
}

impl Session for DoublerSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.n_runs = self.n_runs.wrapping_add(1);
        let outcome = self.try_run(inputs, outputs);
        self.has_failed |= outcome.is_err();
        outcome
    }
}

fn layout(spec: &LoadSpec) -> SessionLayout {
    SessionLayout {
        is_shared: false,
        threads: spec.concurrency.or_one_per_core().1,
        provider: "cpu".to_owned(),
        reason: String::new(),
    }
}

fn failed(message: String) -> Error {
    Error::new(Code::EngineFailed, message)
}

fn broken(fault: Fault) -> Vec<String> {
    let spec = LoadSpec {
        path: PathBuf::from("no model"),
        concurrency: Concurrency::of(NonZeroUsize::MIN),
        max_batch_rows: None,
        provider: None,
        options: Default::default(),
    };
    check(&Doubler(fault), &spec)
}

#[test]
fn conforming_engine_passes() {
    assert_eq!(broken(Fault::None), Vec::<String>::new());
}

#[test]
fn each_fault_breaks_its_promise() {
    let cases = [
        (
            Fault::TooFewSessions,
            "as many sessions open as requested: 1 for 3",
        ),
        (
            Fault::WrongDatatype,
            "outputs fit the signature: `doubled` is INT64",
        ),
        (
            Fault::KeepsState,
            "the same inputs give the same outputs: before and after",
        ),
        (
            Fault::BreaksAfterFailure,
            "a failed run leaves no trace: an unknown output",
        ),
        (
            Fault::TakesNoInputs,
            "a failed run leaves no trace: no inputs is not an error",
        ),
        (
            Fault::IgnoresOrder,
            "outputs come in the order of the request: backwards",
        ),
        (Fault::MixesRows, "rows do not depend on each other: row 0"),
        (
            Fault::RefusesNoRows,
            "no rows give no rows: a run failed: no rows",
        ),
        (
            Fault::TakesAnyOption,
            "an unknown option is refused by its name: it loads",
        ),
    ];
    let mut missed = Vec::new();
    for (fault, expected) in cases {
        let messages = broken(fault);
        if !messages
            .iter()
            .any(|sentence| sentence.starts_with(expected))
        {
            missed.push((fault, messages));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
