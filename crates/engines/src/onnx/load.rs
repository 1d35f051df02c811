//! Opens models: one session for all instances of a version, or one for each.
//!
//! Decision: everything is checked before the runtime reads the file, and sessions are opened one
//! at a time. Memory returns to the system when the last handle of a session is dropped.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use contract::{Error, LoadSpec, LoadedModel, Result, Signature, Tensor};
use ort::logging::LogLevel;
use ort::session::Session as RuntimeSession;
use ort::session::builder::SessionBuilder;
use ort::{Error as RuntimeError, ErrorCode};

use super::buckets::Buckets;
use super::environment::Runtime;
use super::errors::{error_text, failed};
use super::memory::{LoadGuard, TrimOnDrop};
use super::options::Settings;
use super::session::{OnnxSession, OpenSession};
use super::source::ModelSource;
use super::{buckets, calibration, layout, signature};

/// Opens the sessions of a model.
pub(super) fn load(runtime: &Runtime, spec: &LoadSpec) -> Result<LoadedModel> {
    let settings = Settings::new(spec.provider.as_deref(), &spec.options)?;
    check_provider(runtime, &settings)?;
    let source = ModelSource::new(&spec.path)?;
    layout::check(&spec.concurrency, &settings.provider)?;
    let (_, threads) = layout::counts(&spec.concurrency, &settings.provider);
    let (first, settings) = open_first(runtime, &source, &settings, threads)?;
    source.log.opened();
    let unranked = &source.inspection.unranked;
    let signature = signature::signature(&first, settings.has_optional_inputs, unranked)
        .map_err(|error| error.in_context(format_args!("`{}`", source.file.display())))?;
    let metadata = signature::metadata(&first);
    let memory = Arc::new(TrimOnDrop);
    // Releasing memory is known to work for the CPU only.
    let has_arena = settings.provider.is_cpu() && has_arena(&settings);
    let new = |session: &RuntimeSession| OpenSession::new(session, has_arena, &memory);
    let first = new(&first);
    let handle = OnnxSession::new(Arc::clone(&first), &signature)?;
    let n_bytes = n_bytes(&spec.path);
    let mut plan = layout::plan(&spec.concurrency, &settings.provider, n_bytes, || {
        calibration::run_time(&handle, &signature)
    });
    let size_input = buckets::SizeInput {
        sizes: &settings.batch_sizes,
        max_rows: spec.max_batch_rows.filter(|_| settings.provider.is_cuda()),
        signature: &signature,
        n_bytes,
        n_sessions: plan.n_sessions.get(),
    };
    let choice = buckets::choose(&size_input, || {
        calibration::change_cost(&handle, &signature)
    })?;
    let mut spare = Some(handle);
    let is_shared = plan.layout.is_shared;
    let next = || match spare.take() {
        Some(handle) => Ok(handle),
        None if is_shared => OnnxSession::new(Arc::clone(&first), &signature),
        None => OnnxSession::new(
            new(&open(runtime, &source, &settings, threads)?),
            &signature,
        ),
    };
    let sessions = sessions(plan.n_sessions.get(), choice.as_ref(), &signature, next)?;
    source.check_unchanged()?;
    let pads_rows = choice.is_some();
    if let Some(choice) = choice {
        plan.layout.reason += &choice.reason;
    }
    Ok(LoadedModel {
        sessions,
        pads_rows,
        signature,
        metadata,
        layout: plan.layout,
        labels: source.labels(),
        data_dependent_cost: source.inspection.data_dependent_cost,
    })
}

/// Opens the sessions of all instances, each with one handle or with one for each size of a batch.
fn sessions(
    n_sessions: usize,
    choice: Option<&buckets::SizeChoice>,
    signature: &Signature,
    mut next: impl FnMut() -> Result<OnnxSession>,
) -> Result<Vec<Box<dyn contract::Session>>> {
    let mut sessions: Vec<Box<dyn contract::Session>> = Vec::with_capacity(n_sessions);
    for _ in 0..n_sessions {
        sessions.push(match choice {
            None => Box::new(next()?),
            Some(choice) => Box::new(Buckets::open(&choice.sizes, signature, &mut next)?),
        });
    }
    Ok(sessions)
}

fn check_provider(runtime: &Runtime, settings: &Settings) -> Result<()> {
    let requested = settings.provider.name();
    let available = runtime.providers();
    if available.contains(&requested) {
        return Ok(());
    }
    Err(failed(format!(
        "provider `{requested}` is not in `{}` (ONNX Runtime {}), which has `{}`; install it with \
         `lockgate runtime install --flavor {requested}`",
        runtime.library().display(),
        runtime.version(),
        available.join("`, `")
    )))
}

/// Returns the size of a model with its external data: of all files in a folder, or of a file and
/// those beside it that start with its name, as exporters name them.
pub(super) fn n_bytes(path: &Path) -> u64 {
    let (folder, start) = match path.is_dir() {
        true => (Some(path), None),
        false => (path.parent(), path.file_name()),
    };
    let start = start.unwrap_or_default().as_encoded_bytes();
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
    let belongs = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(start);
    let files = entries.into_iter().flatten().flatten().filter(belongs);
    // Symbolic links are followed: model stores often keep the files elsewhere.
    let sizes = files.filter_map(|entry| fs::metadata(entry.path()).ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// Opens the first session and settles the options that depend on the model.
///
/// The arena and the memory pattern pay off when only the number of rows varies, and grow without
/// limit when other dimensions do. That is known only once the model is open, so such a model is
/// opened a second time.
fn open_first(
    runtime: &Runtime,
    source: &ModelSource,
    settings: &Settings,
    threads: NonZeroUsize,
) -> Result<(RuntimeSession, Settings)> {
    let resolved = |keeps_memory: bool| Settings {
        arena: settings.arena.or(Some(keeps_memory)),
        memory_pattern: settings.memory_pattern.or(Some(keeps_memory)),
        ..settings.clone()
    };
    let is_open = settings.arena.is_none() || settings.memory_pattern.is_none();
    let with_arena = resolved(true);
    let session = open(runtime, source, &with_arena, threads)?;
    let unranked = &source.inspection.unranked;
    let varies = signature::signature(&session, settings.has_optional_inputs, unranked)
        .is_ok_and(|signature| signature::varies_beyond_rows(&signature));
    if !(is_open && varies && settings.provider.is_cpu()) {
        return Ok((session, with_arena));
    }
    drop(session);
    let without_arena = resolved(false);
    Ok((
        open(runtime, source, &without_arena, threads)?,
        without_arena,
    ))
}

fn open(
    runtime: &Runtime,
    source: &ModelSource,
    settings: &Settings,
    threads: NonZeroUsize,
) -> Result<RuntimeSession> {
    let _creation = runtime.lock_creation();
    let _load_guard = LoadGuard::start();
    builder(runtime, settings, threads)
        .and_then(|builder| source.commit(builder))
        .map_err(|error| load_error(&source.file, &error))
}

/// Returns whether the CPU keeps memory between runs.
fn has_arena(settings: &Settings) -> bool {
    settings.arena.unwrap_or(true)
}

fn builder(
    runtime: &Runtime,
    settings: &Settings,
    threads: NonZeroUsize,
) -> ort::Result<SessionBuilder> {
    let threads = threads.get();
    let arena = has_arena(settings);
    let spinning = if settings.allow_spinning { "1" } else { "0" };
    let mut builder = RuntimeSession::builder(runtime.environment())?
        .with_log_level(LogLevel::Warning)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_optimization_level(settings.optimization)?
        .with_memory_pattern(settings.memory_pattern.unwrap_or(true))?
        .with_config_entry("session.intra_op.allow_spinning", spinning)?
        .with_config_entry("session.inter_op.allow_spinning", spinning)?
        .with_config_entry("session.force_spinning_stop", "1")?;
    for (key, value) in &settings.entries {
        builder = builder.with_config_entry(key, value)?;
    }
    Ok(builder.with_execution_providers(settings.provider.dispatches(threads, arena))?)
}

/// A model of one node, `y = Relu(x)` for one `FP32` number, as `testing::OnnxModel` writes it.
pub(super) const ONE_NODE: &[u8] =
    b"\x08\x08\x12\x08lockgate:6Z\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x0a\x0c\x0a\x01x\x12\x01y\
    \x22\x04Relu\x12\x04testB\x04\x0a\x00\x10\x12";

/// Opens a model of one node with a provider and runs it.
pub(super) fn try_provider(runtime: &Runtime, provider: &str) -> Result<()> {
    let settings = Settings::new(Some(provider), &BTreeMap::new())?;
    let session = {
        let _creation = runtime.lock_creation();
        builder(runtime, &settings, NonZeroUsize::MIN)
            .and_then(|mut builder| builder.commit_from_memory(ONE_NODE))
    };
    let session = session.map_err(|error| failed(error_text(&error)))?;
    let signature = signature::signature(&session, true, &HashSet::new())?;
    let input = Tensor::from_values([1].into(), vec![2_f32])?;
    let outputs = OnnxSession::new(
        OpenSession::new(&session, false, &Arc::new(TrimOnDrop)),
        &signature,
    )?
    .run_aligned(&[Some(input.clone())], &[0])
    .map_err(|error| failed(error_text(&error)))?;
    match outputs.first() == Some(&input) {
        true => Ok(()),
        false => Err(failed(format!(
            "model of one node computed {outputs:?} from {input:?}"
        ))),
    }
}

fn load_error(file: &Path, error: &RuntimeError) -> Error {
    const KNOWN: [(ErrorCode, &str); 3] = [
        (ErrorCode::InvalidProtobuf, "is not an ONNX model"),
        (ErrorCode::InvalidGraph, "is not a valid ONNX model"),
        (
            ErrorCode::NotImplemented,
            "uses features that this ONNX Runtime does not implement",
        ),
    ];
    let known = KNOWN.into_iter().find(|(code, _)| *code == error.code());
    let what = known.map_or("cannot be loaded", |(_, what)| what);
    let message = without_path(file, error_text(error));
    failed(format!("`{}` {what}: {message}", file.display()))
}

/// Returns the message of the runtime about `file`, without the prefix that repeats its path.
fn without_path(file: &Path, message: String) -> String {
    let start = format!("Load model from {} failed:", file.display());
    match message.strip_prefix(&start) {
        Some(reason) => reason.trim_start().to_owned(),
        None => message,
    }
}
