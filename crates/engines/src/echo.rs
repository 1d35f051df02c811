//! Engine without a model: outputs repeat inputs, with configured delays and failures.
//!
//! Rule: output `i` repeats input `i`, or the first input when there are more outputs than inputs.
//! A missing optional input is repeated as zeros. Delays and failures depend only on the options
//! and the number of runs, so tests and calibrations are reproducible.

mod artifact;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use contract::{
    Code, Dimension, Engine, Error, LoadSpec, LoadedModel, Result, Session, SessionLayout,
    Signature, Tensor, TensorSpec,
};

/// The file name of a model.
const ARTIFACT: &str = "model.echo";

/// The options of a model of this engine.
const OPTIONS: [&str; 5] = [
    "delay_us",
    "delay_per_row_us",
    "fail_every",
    "fail_load",
    "lose_after",
];

/// Engine that repeats inputs as outputs.
///
/// Models are files `model.echo` in JSON, such as `{"inputs": [{"name": "x", "datatype": "FP32",
/// "shape": [-1, 4]}]}`; without `outputs` there is one output per input, named after it. The
/// options of a model:
///
/// | option | effect |
/// |---|---|
/// | `delay_us` | every run takes this many microseconds |
/// | `delay_per_row_us` | and this many more per row |
/// | `fail_every` | every n-th run of a session fails with `engine_failed` |
/// | `lose_after` | after n runs of a session all fail with `engine_lost` |
/// | `fail_load` | loading fails with this text |
#[derive(Clone, Debug, Default)]
pub struct EchoEngine {
    signature: Option<Signature>,
}

impl EchoEngine {
    /// Creates an engine whose models all have this signature. Every folder is an artifact of it,
    /// and it reads no file.
    #[must_use]
    pub fn with_signature(signature: Signature) -> Self {
        Self {
            signature: Some(signature),
        }
    }
}

impl Engine for EchoEngine {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn platform(&self) -> &'static str {
        "lockgate_echo"
    }

    fn framework(&self) -> &'static str {
        "echo"
    }

    fn find_artifact(&self, folder: &Path) -> Option<PathBuf> {
        let path = match &self.signature {
            Some(_) => folder.to_owned(),
            None => folder.join(ARTIFACT),
        };
        path.exists().then_some(path)
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        if let Some(provider) = spec.provider.as_deref().filter(|name| *name != "cpu") {
            return Err(failed(format!(
                "unknown provider `{provider}`; known is `cpu`"
            )));
        }
        let behaviour = Behaviour::new(&spec.options)?;
        let signature = match &self.signature {
            Some(signature) => signature.clone(),
            None => artifact::read(&spec.path)?,
        };
        check(&signature)?;
        let session = || EchoSession {
            signature: signature.clone(),
            behaviour: behaviour.clone(),
            n_runs: 0,
        };
        let boxed = |_| -> Box<dyn Session> { Box::new(session()) };
        let (n_sessions, threads) = spec.concurrency.or_one_per_core();
        Ok(LoadedModel {
            sessions: (0..n_sessions.get()).map(boxed).collect(),
            signature,
            metadata: BTreeMap::new(),
            data_dependent_cost: None,
            labels: Vec::new(),
            layout: SessionLayout {
                is_shared: false,
                threads,
                provider: "cpu".to_owned(),
                reason: "an echo has no weights to share".to_owned(),
            },
            pads_rows: false,
        })
    }
}

/// Rejects a signature whose outputs cannot repeat its inputs.
fn check(signature: &Signature) -> Result<()> {
    for (index, output) in signature.outputs.iter().enumerate() {
        let Some(input) = source(&signature.inputs, index) else {
            return Err(failed(format!(
                "output `{}` has no input to repeat",
                output.name
            )));
        };
        if (input.element_type, &input.dims) != (output.element_type, &output.dims) {
            return Err(failed(format!(
                "output `{}` repeats input `{}` and must have its datatype and shape",
                output.name, input.name
            )));
        }
    }
    Ok(())
}

/// Returns what output `index` repeats.
fn source<T>(inputs: &[T], index: usize) -> Option<&T> {
    inputs.get(index).or_else(|| inputs.first())
}

/// Delays and failures of a session.
#[derive(Clone, Debug)]
struct Behaviour {
    delay: Duration,
    delay_per_row: Duration,
    fail_every: Option<u64>,
    lose_after: Option<u64>,
}

impl Behaviour {
    fn new(options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
            return Err(failed(format!(
                "unknown option `{unknown}`; known are `{}`",
                OPTIONS.join("`, `")
            )));
        }
        if let Some(text) = options.get("fail_load") {
            return Err(failed(text.clone()));
        }
        let number = |key: &str| match options.get(key) {
            None => Ok(None),
            Some(value) => value
                .parse::<u64>()
                .map(Some)
                .map_err(|_| failed(format!("option `{key}`: expected a number, got `{value}`"))),
        };
        Ok(Self {
            delay: Duration::from_micros(number("delay_us")?.unwrap_or(0)),
            delay_per_row: Duration::from_micros(number("delay_per_row_us")?.unwrap_or(0)),
            fail_every: number("fail_every")?.filter(|&every| every > 0),
            lose_after: number("lose_after")?,
        })
    }

    /// Returns the outcome of run `number`, counted from 1.
    fn outcome(&self, number: u64) -> Result<()> {
        if self.lose_after.is_some_and(|limit| number > limit) {
            let text = "engine lost because of `lose_after`";
            return Err(Error::new(Code::EngineLost, text));
        }
        match self.fail_every {
            Some(every) if number.is_multiple_of(every) => Err(failed(format!(
                "run {number} failed because of `fail_every`"
            ))),
            _ => Ok(()),
        }
    }

    fn wait(&self, n_rows: usize) {
        let n_rows = u32::try_from(n_rows).unwrap_or(u32::MAX);
        let delay = self.delay + self.delay_per_row.saturating_mul(n_rows);
        if !delay.is_zero() {
            thread::sleep(delay);
        }
    }
}

#[derive(Debug)]
struct EchoSession {
    signature: Signature,
    behaviour: Behaviour,
    n_runs: u64,
}

impl EchoSession {
    fn repeat(&self, inputs: &[Option<Tensor>], index: usize) -> Result<Tensor> {
        let (Some(spec), Some(input)) =
            (source(&self.signature.inputs, index), source(inputs, index))
        else {
            return Err(failed(format!("output {index} has no input to repeat")));
        };
        match input {
            Some(tensor) if tensor.element_type() == spec.element_type => Ok(tensor.clone()),
            Some(tensor) => Err(failed(format!(
                "input `{}`: expected datatype {}, got {}",
                spec.name,
                spec.element_type,
                tensor.element_type()
            ))),
            None if spec.is_optional => zeros(spec, n_rows(inputs)),
            None => Err(failed(format!("input `{}` is missing", spec.name))),
        }
    }
}

impl Session for EchoSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.n_runs += 1;
        self.behaviour.wait(n_rows(inputs));
        self.behaviour.outcome(self.n_runs)?;
        for index in 0..self.signature.inputs.len() {
            self.repeat(inputs, index)?;
        }
        let mut repeated = Vec::with_capacity(outputs.len());
        for &index in outputs {
            if index >= self.signature.outputs.len() {
                return Err(failed(format!("output {index} does not exist")));
            }
            repeated.push(self.repeat(inputs, index)?);
        }
        Ok(repeated)
    }
}

fn n_rows(inputs: &[Option<Tensor>]) -> usize {
    inputs.iter().flatten().next().map_or(1, Tensor::n_rows)
}

/// Returns zeros, or empty strings, with the first dynamic dimension as given and the others of
/// size 1.
fn zeros(spec: &TensorSpec, n_rows: usize) -> Result<Tensor> {
    let sizes = spec.dims.iter().enumerate().map(|(index, dim)| match dim {
        Dimension::Fixed(size) => *size,
        Dimension::Dynamic | Dimension::Symbol(_) if index == 0 => n_rows,
        Dimension::Dynamic | Dimension::Symbol(_) | Dimension::Rest => 1,
    });
    Tensor::zeros(spec.element_type, sizes.collect())
}

fn failed(message: String) -> Error {
    Error::new(Code::EngineFailed, message)
}

#[cfg(test)]
mod tests;
