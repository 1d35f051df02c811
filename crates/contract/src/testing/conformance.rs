//! The conformance kit: checks on one model that an engine keeps its contract.
//!
//! Rule: inputs are made from the signature alone, so the kit runs on any model whose inputs may
//! hold small numbers. Numbers with a fraction may differ in their last digits between batch sizes,
//! because libraries pick another kernel for another shape; everything else must be equal.
//!
//! Decision: all broken promises are returned as sentences, and nothing panics.

use std::num::NonZeroUsize;
use std::thread;

use crate::concurrency::Concurrency;
use crate::engine::{Engine, LoadSpec, LoadedModel, Session};
use crate::error::Code;
use crate::model::{Dimension, Signature, TensorSpec};
use crate::tensor::{ElementType, Tensor};

mod compare;
mod sample;

pub use sample::sample_inputs;

/// A check of one promise; the error describes what was seen instead.
type Check = fn(&Fixture<'_>) -> Result<(), String>;

/// Every promise as text, with its check.
const PROMISES: [(&str, Check); 12] = [
    ("as many sessions open as requested", opens_as_many),
    ("an artifact is found in its folder", finds_artifact),
    ("outputs fit the signature", outputs_fit),
    ("the same inputs give the same outputs", repeats),
    ("a failed run leaves no trace", survives_failures),
    ("outputs come in the order of the request", keeps_order),
    ("rows do not depend on each other", keeps_rows_apart),
    ("no rows give no rows", takes_no_rows),
    ("sessions outlive each other", outlive_each_other),
    ("sessions run at the same time", run_together),
    ("an unknown option is refused by its name", refuses_options),
    ("a missing artifact is refused by its name", refuses_missing),
];

/// Checks every promise of an engine on one model, and returns those that are broken.
#[must_use]
pub fn check(engine: &dyn Engine, spec: &LoadSpec) -> Vec<String> {
    let signature = match engine.load(spec) {
        Ok(loaded) => loaded.signature,
        Err(error) => return vec![format!("the model loads: {error}")],
    };
    let fixture = Fixture {
        engine,
        spec,
        signature,
    };
    let broken = |(promise, check): (&str, Check)| {
        let seen = check(&fixture).err()?;
        Some(format!("{promise}: {seen}"))
    };
    PROMISES.into_iter().filter_map(broken).collect()
}

/// One engine with one model.
struct Fixture<'a> {
    engine: &'a dyn Engine,
    spec: &'a LoadSpec,
    signature: Signature,
}

type Inputs = Vec<Option<Tensor>>;
type Sessions = Vec<Box<dyn Session>>;

impl Fixture<'_> {
    fn load(&self, n_sessions: usize) -> Result<LoadedModel, String> {
        let spec = LoadSpec {
            concurrency: Concurrency {
                n_sessions: NonZeroUsize::new(n_sessions),
                ..self.spec.concurrency
            },
            ..self.spec.clone()
        };
        self.engine.load(&spec).map_err(|error| error.to_string())
    }

    fn sessions(&self, n_sessions: usize) -> Result<Sessions, String> {
        self.load(n_sessions).map(|loaded| loaded.sessions)
    }

    fn session(&self) -> Result<Box<dyn Session>, String> {
        let mut sessions = self.sessions(1)?;
        sessions.pop().ok_or_else(|| "no session".to_owned())
    }

    fn inputs(&self, n_rows: usize, seed: usize) -> Result<Inputs, String> {
        sample_inputs(&self.signature, n_rows, seed).map_err(|error| error.to_string())
    }

    fn all_outputs(&self) -> Vec<usize> {
        (0..self.signature.outputs.len()).collect()
    }

    fn run(&self, session: &mut dyn Session, inputs: &Inputs) -> Result<Vec<Tensor>, String> {
        run(session, inputs, &self.all_outputs())
    }
}

fn run(
    session: &mut dyn Session,
    inputs: &Inputs,
    wanted: &[usize],
) -> Result<Vec<Tensor>, String> {
    let outputs = session
        .run(inputs, wanted)
        .map_err(|error| format!("a run failed: {error} ({:?})", error.diagnostic()))?;
    match outputs.len() == wanted.len() {
        true => Ok(outputs),
        false => Err(format!(
            "{} outputs for {} that were requested",
            outputs.len(),
            wanted.len()
        )),
    }
}

fn equal(what: &str, left: &[Tensor], right: &[Tensor]) -> Result<(), String> {
    match left == right {
        true => Ok(()),
        false => Err(format!("{what}: {left:?} and {right:?}")),
    }
}

fn opens_as_many(fixture: &Fixture<'_>) -> Result<(), String> {
    for n_sessions in [1, 3] {
        let loaded = fixture.load(n_sessions)?;
        if loaded.sessions.len() != n_sessions {
            return Err(format!("{} for {n_sessions}", loaded.sessions.len()));
        }
        if loaded.layout.provider.is_empty() {
            return Err("the provider has no name".to_owned());
        }
    }
    Ok(())
}

fn finds_artifact(fixture: &Fixture<'_>) -> Result<(), String> {
    let path = &fixture.spec.path;
    let Some(folder) = path.parent().filter(|_| path.is_file()) else {
        return Ok(());
    };
    match fixture.engine.find_artifact(folder) {
        Some(found) if found == *path => {}
        found => return Err(format!("{found:?} in the folder of `{}`", path.display())),
    }
    let nowhere = path.with_file_name("no-such-folder");
    match fixture.engine.find_artifact(&nowhere) {
        None => Ok(()),
        Some(found) => Err(format!("`{}`, where nothing is", found.display())),
    }
}

fn outputs_fit(fixture: &Fixture<'_>) -> Result<(), String> {
    let mut session = fixture.session()?;
    let is_batching = fixture.signature.has_batch_dimension();
    for n_rows in [1, 2, 5] {
        let outputs = fixture.run(&mut *session, &fixture.inputs(n_rows, 1)?)?;
        for (spec, output) in fixture.signature.outputs.iter().zip(&outputs) {
            let has_rows = !is_batching || output.n_rows() == n_rows;
            if !(fits(spec, output) && has_rows) {
                return Err(format!(
                    "`{}` is {} of shape {} for {n_rows} rows",
                    spec.name,
                    output.element_type(),
                    output.shape()
                ));
            }
        }
    }
    Ok(())
}

fn fits(spec: &TensorSpec, tensor: &Tensor) -> bool {
    let sizes = tensor.shape().dims();
    let fixed = spec.dims.iter().map(Dimension::fixed);
    tensor.element_type() == spec.element_type
        && sizes.len() == spec.dims.len()
        && fixed
            .zip(sizes)
            .all(|(fixed, size)| fixed.is_none_or(|fixed| fixed == *size))
}

fn repeats(fixture: &Fixture<'_>) -> Result<(), String> {
    let mut session = fixture.session()?;
    let (one, other) = (fixture.inputs(2, 1)?, fixture.inputs(3, 2)?);
    let first = fixture.run(&mut *session, &one)?;
    fixture.run(&mut *session, &other)?;
    let second = fixture.run(&mut *session, &one)?;
    equal("before and after another run", &first, &second)?;
    session.release_memory();
    let third = fixture.run(&mut *session, &one)?;
    equal("before and after memory was released", &first, &third)
}

fn survives_failures(fixture: &Fixture<'_>) -> Result<(), String> {
    let mut session = fixture.session()?;
    let right = fixture.inputs(2, 1)?;
    let before = fixture.run(&mut *session, &right)?;
    let all = fixture.all_outputs();
    let unknown = [fixture.signature.outputs.len()];
    let nothing = vec![None; right.len()];
    let mut mistakes = vec![("an unknown output", right.clone(), &unknown[..])];
    if fixture
        .signature
        .inputs
        .iter()
        .any(|spec| !spec.is_optional)
    {
        mistakes.push(("no inputs", nothing, &all));
        mistakes.push(("another datatype", retyped(&right)?, &all));
    }
    for (mistake, inputs, outputs) in mistakes {
        match session.run(&inputs, outputs) {
            Err(error) if error.code() == Code::EngineFailed => {}
            Err(error) => return Err(format!("{mistake}: `{}`: {error}", error.code())),
            Ok(_) => return Err(format!("{mistake} is not an error")),
        }
        let after = fixture.run(&mut *session, &right)?;
        equal(mistake, &before, &after)?;
    }
    Ok(())
}

/// Returns the same inputs with other element types.
fn retyped(inputs: &Inputs) -> Result<Inputs, String> {
    let retype = |tensor: &Option<Tensor>| {
        let Some(tensor) = tensor else {
            return Ok(None);
        };
        let (shape, n_elements) = (tensor.shape().clone(), tensor.n_elements());
        let other = match tensor.element_type() == ElementType::F32 {
            true => Tensor::from_values(shape, vec![0_i64; n_elements]),
            false => Tensor::from_values(shape, vec![0_f32; n_elements]),
        };
        other.map(Some).map_err(|error| error.to_string())
    };
    inputs.iter().map(retype).collect()
}

fn keeps_order(fixture: &Fixture<'_>) -> Result<(), String> {
    let mut session = fixture.session()?;
    let inputs = fixture.inputs(2, 1)?;
    let all = fixture.run(&mut *session, &inputs)?;
    for (index, output) in all.iter().enumerate() {
        let alone = run(&mut *session, &inputs, &[index])?;
        equal("alone and among all", &alone, std::slice::from_ref(output))?;
    }
    let backwards: Vec<usize> = fixture.all_outputs().into_iter().rev().collect();
    let mut reversed = run(&mut *session, &inputs, &backwards)?;
    reversed.reverse();
    equal("backwards", &all, &reversed)?;
    run(&mut *session, &inputs, &[]).map(|_| ())
}

fn keeps_rows_apart(fixture: &Fixture<'_>) -> Result<(), String> {
    const N_ROWS: usize = 4;
    if !fixture.signature.has_batch_dimension() {
        return Ok(());
    }
    let mut session = fixture.session()?;
    let inputs = fixture.inputs(N_ROWS, 1)?;
    let joined = fixture.run(&mut *session, &inputs)?;
    for row in 0..N_ROWS {
        let slice = |tensor: &Tensor| tensor.slice_rows(row, 1).map_err(|error| error.to_string());
        let one_row = |input: &Option<Tensor>| input.as_ref().map(slice).transpose();
        let inputs: Inputs = inputs.iter().map(one_row).collect::<Result<_, _>>()?;
        let alone = fixture.run(&mut *session, &inputs)?;
        for (alone, joined) in alone.iter().zip(&joined) {
            let joined = slice(joined)?;
            if !compare::is_near(alone, &joined) {
                return Err(format!(
                    "row {row}: {alone:?} alone, {joined:?} among others"
                ));
            }
        }
    }
    Ok(())
}

fn takes_no_rows(fixture: &Fixture<'_>) -> Result<(), String> {
    if !fixture.signature.has_batch_dimension() {
        return Ok(());
    }
    let mut session = fixture.session()?;
    let outputs = fixture.run(&mut *session, &fixture.inputs(0, 1)?)?;
    let is_right =
        |(spec, output): (&TensorSpec, &Tensor)| fits(spec, output) && output.n_rows() == 0;
    match fixture.signature.outputs.iter().zip(&outputs).all(is_right) {
        true => Ok(()),
        false => Err(format!("{outputs:?}")),
    }
}

fn outlive_each_other(fixture: &Fixture<'_>) -> Result<(), String> {
    let inputs = fixture.inputs(2, 1)?;
    let mut sessions = fixture.sessions(2)?;
    let (Some(mut one), Some(mut other)) = (sessions.pop(), sessions.pop()) else {
        return Err("two sessions were requested".to_owned());
    };
    let first = fixture.run(&mut *one, &inputs)?;
    drop(one);
    let second = fixture.run(&mut *other, &inputs)?;
    drop(other);
    equal("in two sessions", &first, &second)?;
    let third = fixture.run(&mut *fixture.session()?, &inputs)?;
    equal("after all were dropped", &first, &third)
}

fn run_together(fixture: &Fixture<'_>) -> Result<(), String> {
    const N_RUNS: usize = 50;
    let mut sessions = fixture.sessions(3)?;
    let mut expected = Vec::new();
    for (seed, session) in sessions.iter_mut().enumerate() {
        expected.push(fixture.run(&mut **session, &fixture.inputs(seed + 1, seed)?)?);
    }
    let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
        let work = |(seed, (session, expected)): (usize, (&mut Box<dyn Session>, &Vec<Tensor>))| {
            let inputs = fixture.inputs(seed + 1, seed)?;
            for _ in 0..N_RUNS {
                equal(
                    "alone and together",
                    expected,
                    &fixture.run(&mut **session, &inputs)?,
                )?;
            }
            Ok(())
        };
        let jobs = sessions.iter_mut().zip(&expected).enumerate();
        let threads: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|outcome| outcome.unwrap_or_else(|_| Err("a run panicked".to_owned())))
            .collect()
    });
    outcomes.into_iter().collect()
}

fn refuses_options(fixture: &Fixture<'_>) -> Result<(), String> {
    const UNKNOWN: &str = "no_such_option";
    let mut spec = fixture.spec.clone();
    spec.options.insert(UNKNOWN.to_owned(), "1".to_owned());
    refused(fixture, &spec, UNKNOWN)
}

fn refuses_missing(fixture: &Fixture<'_>) -> Result<(), String> {
    const MISSING: &str = "no-such-file";
    if !fixture.spec.path.is_file() {
        return Ok(());
    }
    let spec = LoadSpec {
        path: fixture.spec.path.with_file_name(MISSING),
        ..fixture.spec.clone()
    };
    refused(fixture, &spec, MISSING)
}

fn refused(fixture: &Fixture<'_>, spec: &LoadSpec, named: &str) -> Result<(), String> {
    match fixture.engine.load(spec) {
        Ok(_) => Err("it loads".to_owned()),
        Err(error) if error.code() != Code::EngineFailed => Err(format!("`{}`", error.code())),
        Err(error) if !error.message().contains(named) => Err(error.to_string()),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
