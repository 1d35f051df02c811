//! Loads models and runs them.
//!
//! Decision: a run computes all outputs and converts those that were asked for. The runtime would
//! execute every node anyway, and so a request for one output takes the same path as any other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use contract::{Code, Error, LoadSpec, LoadedModel, Result, Signature, Tensor};
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{NoSelectedOutputs, RunOptions, Session as RuntimeSession};
use ort::{Error as RuntimeError, ErrorCode};

use super::environment::Runtime;
use super::options::Settings;
use super::{convert, signature};

/// The file name of a model, also inside a folder of that name that holds external data.
pub(super) const ARTIFACT: &str = "model.onnx";

/// Opens the sessions of a model.
pub(super) fn load(runtime: &Runtime, spec: &LoadSpec) -> Result<LoadedModel> {
    let settings = Settings::new(spec)?;
    check_provider(runtime, &settings)?;
    let file = model_file(&spec.path)?;
    let (first, settings) = open_first(runtime, &file, &settings)?;
    let signature = signature::signature(&first, settings.has_optional_inputs)
        .map_err(|error| error.in_context(format_args!("`{}`", file.display())))?;
    let metadata = signature::metadata(&first);
    let mut sessions: Vec<Box<dyn contract::Session>> =
        vec![Box::new(OnnxSession::new(first, &signature)?)];
    while sessions.len() < spec.n_sessions.get() {
        let session = open(runtime, &file, &settings)?;
        sessions.push(Box::new(OnnxSession::new(session, &signature)?));
    }
    Ok(LoadedModel {
        signature,
        metadata,
        provider: settings.provider.name().to_owned(),
        sessions,
    })
}

fn check_provider(runtime: &Runtime, settings: &Settings) -> Result<()> {
    let wanted = settings.provider.name();
    let available = runtime.providers();
    if available.contains(&wanted) {
        return Ok(());
    }
    Err(failed(format!(
        "provider `{wanted}` is not in `{}` (ONNX Runtime {}), which has `{}`; install it with \
         `lockgate runtime install --flavor {wanted}`",
        runtime.library().display(),
        runtime.version(),
        available.join("`, `")
    )))
}

/// The model inside a folder of external data, or the file itself.
fn model_file(path: &Path) -> Result<PathBuf> {
    let file = match path.is_dir() {
        true => path.join(ARTIFACT),
        false => path.to_owned(),
    };
    match std::fs::File::open(&file) {
        Ok(_) => Ok(file),
        Err(error) => Err(failed(format!(
            "cannot read the model file `{}`: {error}",
            file.display()
        ))),
    }
}

/// Opens the first session, and settles what depends on what the model looks like.
///
/// The arena and the memory pattern pay when only the number of rows varies, and grow without limit
/// when other dimensions do. That is known only once the model is open, so such a model is opened a
/// second time.
fn open_first(
    runtime: &Runtime,
    file: &Path,
    settings: &Settings,
) -> Result<(RuntimeSession, Settings)> {
    let resolved = |keeps_memory: bool| Settings {
        arena: settings.arena.or(Some(keeps_memory)),
        memory_pattern: settings.memory_pattern.or(Some(keeps_memory)),
        ..settings.clone()
    };
    let is_open = settings.arena.is_none() || settings.memory_pattern.is_none();
    let keeping = resolved(true);
    let session = open(runtime, file, &keeping)?;
    let varies = signature::signature(&session, settings.has_optional_inputs)
        .is_ok_and(|signature| signature::varies_beyond_rows(&signature));
    if !(is_open && varies && settings.provider.is_cpu()) {
        return Ok((session, keeping));
    }
    drop(session);
    let returning = resolved(false);
    Ok((open(runtime, file, &returning)?, returning))
}

fn open(runtime: &Runtime, file: &Path, settings: &Settings) -> Result<RuntimeSession> {
    let _turn = runtime.turn_to_create();
    builder(runtime, settings)
        .and_then(|mut builder| builder.commit_from_file(file))
        .map_err(|error| load_error(file, &error))
}

fn builder(runtime: &Runtime, settings: &Settings) -> ort::Result<SessionBuilder> {
    let arena = settings.arena.unwrap_or(true);
    let spinning = if settings.allow_spinning { "1" } else { "0" };
    let mut builder = RuntimeSession::builder(runtime.environment())?
        .with_log_level(LogLevel::Warning)?
        .with_intra_threads(settings.threads)?
        .with_inter_threads(1)?
        .with_optimization_level(settings.optimization)?
        .with_memory_pattern(settings.memory_pattern.unwrap_or(true))?
        .with_config_entry("session.intra_op.allow_spinning", spinning)?
        .with_config_entry("session.inter_op.allow_spinning", spinning)?
        .with_config_entry("session.force_spinning_stop", "1")?;
    for (key, value) in &settings.entries {
        builder = builder.with_config_entry(key, value)?;
    }
    Ok(builder.with_execution_providers(settings.provider.dispatches(settings.threads, arena))?)
}

/// A model of one node, `y = Relu(x)` for one `FP32` number, as `testing::OnnxModel` writes it.
pub(super) const ONE_NODE: &[u8] =
    b"\x08\x08\x12\x08lockgate:6Z\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x0a\x0c\x0a\x01x\x12\x01y\
    \x22\x04Relu\x12\x04testB\x04\x0a\x00\x10\x12";

/// Opens a model of one node with a provider, and runs it.
pub(super) fn try_provider(runtime: &Runtime, provider: &str) -> Result<()> {
    let settings = Settings::new(&LoadSpec {
        path: PathBuf::new(),
        n_sessions: NonZeroUsize::MIN,
        threads: NonZeroUsize::MIN,
        provider: Some(provider.to_owned()),
        options: BTreeMap::new(),
    })?;
    let session = {
        let _turn = runtime.turn_to_create();
        builder(runtime, &settings).and_then(|mut builder| builder.commit_from_memory(ONE_NODE))
    };
    let session = session.map_err(|error| failed(words(&error)))?;
    let signature = signature::signature(&session, true)?;
    let input = Tensor::from_values([1].into(), vec![2_f32])?;
    let outputs = OnnxSession::new(session, &signature)?
        .run_aligned(&[Some(input.clone())], &[0])
        .map_err(|error| failed(words(&error)))?;
    match outputs.first() == Some(&input) {
        true => Ok(()),
        false => Err(failed(format!("it computed {outputs:?} from {input:?}"))),
    }
}

fn load_error(file: &Path, error: &RuntimeError) -> Error {
    const KNOWN: [(ErrorCode, &str); 3] = [
        (ErrorCode::InvalidProtobuf, "is not an ONNX model"),
        (ErrorCode::InvalidGraph, "is not a valid ONNX model"),
        (
            ErrorCode::NotImplemented,
            "uses what this ONNX Runtime does not implement",
        ),
    ];
    let known = KNOWN.into_iter().find(|(code, _)| *code == error.code());
    let what = known.map_or("cannot be loaded", |(_, what)| what);
    let said = without_path(file, words(error));
    failed(format!("`{}` {what}: {said}", file.display()))
}

/// What the runtime says about `file`, without the start that repeats its path.
fn without_path(file: &Path, said: String) -> String {
    let start = format!("Load model from {} failed:", file.display());
    match said.strip_prefix(&start) {
        Some(reason) => reason.trim_start().to_owned(),
        None => said,
    }
}

/// What the runtime says, without the line ends that some of its sentences carry.
fn words(error: &RuntimeError) -> String {
    error.message().trim().to_owned()
}

fn failed(message: String) -> Error {
    Error::new(Code::EngineFailed, message)
}

/// One session of the runtime.
struct OnnxSession {
    session: RuntimeSession,
    input_names: Vec<String>,
    options: RunOptions<NoSelectedOutputs>,
}

impl OnnxSession {
    fn new(session: RuntimeSession, signature: &Signature) -> Result<Self> {
        // A failed run comes back as an error; the runtime need not log it as well.
        let options = RunOptions::new().and_then(|mut options| {
            options.set_log_level(LogLevel::Fatal)?;
            Ok(options)
        });
        Ok(Self {
            session,
            input_names: signature
                .inputs
                .iter()
                .map(|spec| spec.name.clone())
                .collect(),
            options: options.map_err(|error| failed(words(&error)))?,
        })
    }

    fn run_aligned(
        &mut self,
        inputs: &[Option<Tensor>],
        wanted: &[usize],
    ) -> ort::Result<Vec<Tensor>> {
        let mut values = Vec::with_capacity(inputs.len());
        for (name, tensor) in self.input_names.iter().zip(inputs) {
            if let Some(tensor) = tensor {
                values.push((Cow::Borrowed(name.as_str()), convert::to_value(tensor)?));
            }
        }
        let outputs = self.session.run_with_options(values, &self.options)?;
        let mut tensors = Vec::with_capacity(wanted.len());
        for &index in wanted {
            let value = outputs
                .values()
                .nth(index)
                .ok_or_else(|| RuntimeError::new(format!("the model has no output {index}")))?;
            tensors.push(convert::from_value(&value)?);
        }
        Ok(tensors)
    }
}

impl fmt::Debug for OnnxSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxSession")
            .field("inputs", &self.input_names)
            .finish_non_exhaustive()
    }
}

impl contract::Session for OnnxSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let aligned: Vec<Option<Tensor>> = inputs
            .iter()
            .map(|tensor| tensor.as_ref().map(Tensor::aligned))
            .collect();
        self.run_aligned(&aligned, outputs)
            .map_err(|error| run_error(&error))
    }
}

fn run_error(error: &RuntimeError) -> Error {
    let is_lost = error.code() == ErrorCode::DeviceReset;
    let failed = match is_lost {
        true => Error::new(Code::EngineLost, "the device of the model was reset"),
        false => failed("the model failed on these inputs".to_owned()),
    };
    failed.with_diagnostic(words(error))
}
