//! Warm-up: runs with made-up inputs before a version accepts requests.
//!
//! Rule: every session runs once for each number of rows, on zeros and empty strings; a dynamic
//! dimension has the size of the settings, or 1. A failed run is logged with the message of the
//! runtime, and the version is served: zeros and empty text are invalid inputs of many models. Only
//! a lost session fails the load, and settings that do not fit the model.

pub(crate) mod calibration;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use contract::{Code, Dimension, Error, ModelInfo, Result, Session, Signature, Tensor, TensorSpec};

use super::settings::Warmup;

/// Inputs of one run.
#[derive(Debug)]
struct Run {
    /// Description for messages.
    title: String,
    inputs: Vec<Option<Tensor>>,
    /// Set when callers can certainly send these shapes.
    is_certain: bool,
}

/// Runs every session of a version.
///
/// # Errors
/// `engine_lost` when a session is lost, `invalid_request` when the settings of the warm-up do not
/// fit the signature.
pub(crate) fn warm_up(
    info: &ModelInfo,
    settings: &Warmup,
    sessions: &mut [Box<dyn Session>],
) -> Result<()> {
    let outputs: Vec<_> = (0..info.signature.outputs.len()).collect();
    let mut first_failure = None;
    for run in runs(info, settings)? {
        for session in &mut *sessions {
            let answered = session.run(&run.inputs, &outputs);
            let checked = answered.and_then(|tensors| check_count(&info.signature, &tensors));
            let Err(error) = checked else { continue };
            let error = error.in_context(format!("warm-up with {}", run.title));
            if error.code() == Code::EngineLost {
                return Err(error);
            }
            first_failure.get_or_insert(error);
        }
    }
    if let Some(error) = first_failure {
        let (model, version) = (&info.model, &info.version);
        tracing::warn!(
            %model, %version, %error,
            runtime = error.diagnostic(),
            hint = "made-up inputs may be invalid; set sizes in `warmup.shapes`, or set \
                    `warmup.enabled: false`",
            "failed to warm up model version"
        );
    }
    Ok(())
}

/// Releases the memory of the runs of a load: each session runs once more, with the smallest batch.
///
/// # Errors
/// `engine_lost` when a session is lost.
pub(crate) fn release_memory(
    info: &ModelInfo,
    settings: &Warmup,
    sessions: &mut [Box<dyn Session>],
) -> Result<()> {
    let outputs: Vec<_> = (0..info.signature.outputs.len()).collect();
    let n_rows = info.max_request_rows.map(|_| NonZeroUsize::MIN);
    let run = run(info, settings, n_rows).ok();
    for session in sessions {
        session.release_memory();
        // Without a warm-up the first request releases it.
        let Some(run) = run.as_ref().filter(|_| settings.is_enabled) else {
            continue;
        };
        match session.run(&run.inputs, &outputs) {
            Err(error) if error.code() == Code::EngineLost => return Err(error),
            // Made-up inputs may be invalid, as the warm-up has logged.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn check_count(signature: &Signature, outputs: &[Tensor]) -> Result<()> {
    let (given, wanted) = (outputs.len(), signature.outputs.len());
    match given == wanted {
        true => Ok(()),
        false => Err(Error::new(
            Code::EngineFailed,
            format!("the engine returned {given} outputs, expected {wanted}"),
        )),
    }
}

fn runs(info: &ModelInfo, settings: &Warmup) -> Result<Vec<Run>> {
    check_shapes(&info.signature, settings)?;
    let rows: BTreeSet<_> = match info.max_request_rows {
        Some(max) => settings
            .batch_rows
            .iter()
            .map(|&rows| Some(rows.min(max)))
            .collect(),
        None => [None].into(),
    };
    rows.into_iter()
        .map(|rows| run(info, settings, rows))
        .collect()
}

fn run(info: &ModelInfo, settings: &Warmup, n_rows: Option<NonZeroUsize>) -> Result<Run> {
    let n_rows = n_rows.map(NonZeroUsize::get);
    let sizes = Sizes::new(&info.signature, settings, n_rows);
    let mut is_certain = true;
    let mut inputs = Vec::with_capacity(info.signature.inputs.len());
    for spec in &info.signature.inputs {
        if spec.is_optional && !settings.shapes.contains_key(&spec.name) {
            inputs.push(None);
            continue;
        }
        let given = settings.shapes.get(&spec.name);
        let rank = match spec.has_unknown_rank() {
            true => given.map_or(1, Vec::len),
            false => spec.dims.len(),
        };
        let dims: Vec<_> = (0..rank).map(|axis| sizes.of(spec, axis)).collect();
        is_certain &= dims.iter().all(Option::is_some);
        let shape = dims.iter().map(|dim| dim.unwrap_or(1)).collect();
        inputs.push(Some(Tensor::zeros(spec.element_type, shape)?));
    }
    let title = match n_rows {
        Some(1) => "1 row".to_owned(),
        Some(rows) => format!("{rows} rows"),
        None => "zeros".to_owned(),
    };
    Ok(Run {
        title,
        inputs,
        is_certain,
    })
}

/// Known sizes of dimensions.
struct Sizes<'a> {
    settings: &'a Warmup,
    symbols: BTreeMap<&'a str, usize>,
    n_rows: Option<usize>,
}

impl<'a> Sizes<'a> {
    fn new(signature: &'a Signature, settings: &'a Warmup, n_rows: Option<usize>) -> Self {
        let mut symbols = BTreeMap::new();
        for spec in &signature.inputs {
            let sizes = settings.shapes.get(&spec.name).into_iter().flatten();
            for (dim, &size) in spec.dims.iter().zip(sizes) {
                if let Dimension::Symbol(symbol) = dim {
                    symbols.insert(symbol.as_str(), size);
                }
            }
        }
        Self {
            settings,
            symbols,
            n_rows,
        }
    }

    /// Returns the size of one dimension; `None` when any is possible.
    fn of(&self, spec: &TensorSpec, axis: usize) -> Option<usize> {
        if let (0, Some(n_rows)) = (axis, self.n_rows) {
            return Some(n_rows);
        }
        let given = self.settings.shapes.get(&spec.name);
        if let Some(&size) = given.and_then(|shape| shape.get(axis)) {
            return Some(size);
        }
        match spec.dims.get(axis)? {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Dynamic | Dimension::Rest => None,
            Dimension::Symbol(symbol) => self.symbols.get(symbol.as_str()).copied(),
        }
    }
}

/// Checks the shapes that the settings give for inputs.
///
/// # Errors
/// `invalid_request` that names the input and the right shape.
pub(crate) fn check_shapes(signature: &Signature, settings: &Warmup) -> Result<()> {
    for (name, shape) in &settings.shapes {
        let Some((_, spec)) = signature.input(name) else {
            return Err(Error::invalid(format!(
                "`warmup.shapes` in `model.yaml` names input `{name}`, which the model does not have"
            )));
        };
        let fits =
            |(dim, size): (&Dimension, &usize)| dim.fixed().is_none_or(|fixed| fixed == *size);
        let fits_rank = spec.has_unknown_rank() || shape.len() == spec.dims.len();
        if !fits_rank || !spec.dims.iter().zip(shape).all(fits) {
            return Err(Error::invalid(format!(
                "`warmup.shapes` in `model.yaml`: input `{name}` has shape {:?}, got {shape:?}",
                spec.wire_shape()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
