//! Loading a version: artifact, settings and signature become a loaded version.
//!
//! Decision: everything here blocks and runs on a thread that may. A setting that does not fit the
//! model fails the load; it is never ignored.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use contract::{
    Code, Dimension, Engine, Error, GoldenDecoder, ImageLayout, LoadSpec, LoadedModel, ModelInfo,
    ModelName, Observe, Result, Signature, Version,
};

use super::batching::{BatchingDecision, decide};
use super::cancellation::LoadCancellation;
use super::golden;
use super::layout::{EngineArtifact, content_hash, missing_artifact};
use super::settings::VersionSettings;
use super::warmup::calibration::calibrate;
use super::warmup::{release_memory, warm_up};
use crate::batch::curve::Curve;
use crate::catalog::artifact::VersionArtifact;
use crate::instance::executor::verification::Verification;
use crate::instance::watchdog::Watchdog;
use crate::loaded_version::{BatchSettings, LoadedVersion, SchedulingSettings};

/// Loader of versions.
#[derive(Clone, Debug)]
pub(crate) struct VersionLoader {
    /// The engines in order of preference.
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    /// Observer of the loaded versions.
    pub(crate) observe: Arc<dyn Observe>,
    /// Watchdog of their runs.
    pub(crate) watchdog: Arc<Watchdog>,
    /// Decoder of golden requests, where there is one.
    pub(crate) golden_decoder: Option<Arc<dyn GoldenDecoder>>,
    /// True if callers may read the diagnostics of failed runs.
    pub(crate) exposes_engine_errors: bool,
}

impl VersionLoader {
    /// Opens, checks, warms up and starts a version. Blocks.
    ///
    /// # Errors
    /// The reason why the version cannot be served, or `unavailable` when the load was cancelled.
    pub(crate) fn open(
        &self,
        model: &ModelName,
        version: &Version,
        version_artifact: &VersionArtifact,
        cancellation: &LoadCancellation,
    ) -> Result<Arc<LoadedVersion>> {
        let settings = &version_artifact.settings;
        let (engine, artifact) = self.choose_engine(version_artifact)?;
        let (mut loaded, batching) = load(engine, artifact, settings, cancellation)?;
        check_image(&loaded.signature, settings)?;
        let names = (model.clone(), version.clone());
        let info = model_info(names, engine, artifact, settings, &loaded, &batching);
        log_loaded(&info, &batching);
        self.check_golden_requests(&version_artifact.path, &info, &mut loaded)?;
        cancellation.check()?;
        let mut curve = Curve::default();
        if settings.warmup.is_enabled {
            warm_up(&info, &settings.warmup, &mut loaded.sessions)?;
            if let Some(session) = loaded.sessions.first_mut() {
                curve = calibrate(&info, &settings.warmup, session.as_mut());
            }
        }
        release_memory(&info, &settings.warmup, &mut loaded.sessions)?;
        cancellation.check()?;
        let max_rows = match batching.is_batching {
            true => settings.batching.max_rows.get(),
            false => 1,
        };
        let settings = SchedulingSettings {
            batch: BatchSettings {
                max_rows,
                max_delay: settings.batching.max_delay,
                verification: verification(settings, &batching),
            },
            queue: settings.queue,
            default_timeout: settings.timeout,
            run_timeout: settings.run_timeout,
            execution: settings.execution,
            exposes_engine_errors: self.exposes_engine_errors,
        };
        let (info, observe) = (Arc::new(info), Arc::clone(&self.observe));
        let loaded_version = LoadedVersion::start(info, loaded.sessions, settings, curve, observe)?;
        loaded_version.watched_by(&self.watchdog);
        Ok(loaded_version)
    }

    fn check_golden_requests(
        &self,
        version_folder: &Path,
        info: &ModelInfo,
        loaded: &mut LoadedModel,
    ) -> Result<()> {
        let Some(session) = loaded.sessions.first_mut() else {
            return Ok(());
        };
        let decoder = self.golden_decoder.as_deref();
        let n_requests = golden::check(version_folder, decoder, info, session.as_mut())?;
        if n_requests > 0 {
            let (model, version) = (&info.model, &info.version);
            tracing::info!(%model, %version, n_requests, "answered golden requests as expected");
        }
        Ok(())
    }

    fn choose_engine<'a>(
        &'a self,
        version_artifact: &'a VersionArtifact,
    ) -> Result<(&'a dyn Engine, &'a EngineArtifact)> {
        let wanted = version_artifact.settings.engine.as_deref();
        let engines = || self.engines.iter().map(|engine| engine.name());
        let list = |names: Vec<&str>| format!("`{}`", names.join("`, `"));
        if let Some(wanted) = wanted.filter(|wanted| !engines().any(|name| name == *wanted)) {
            return Err(Error::invalid(format!(
                "`engine` in `model.yaml` is `{wanted}`; this server has {}",
                list(engines().collect())
            )));
        }
        let mut artifacts = version_artifact.artifacts.iter();
        let artifact = artifacts.find(|artifact| wanted.is_none_or(|name| artifact.engine == name));
        let found = artifact.and_then(|artifact| {
            let mut engines = self.engines.iter();
            let engine = engines.find(|engine| engine.name() == artifact.engine)?;
            Some((engine.as_ref(), artifact))
        });
        found.ok_or_else(|| {
            let tried: Vec<_> = wanted.map_or_else(|| engines().collect(), |wanted| vec![wanted]);
            let message = missing_artifact(&version_artifact.path, &tried);
            Error::new(Code::EngineFailed, message)
        })
    }
}

/// Opens the artifact and decides about batching. Sessions that pad runs or cut them into parts are
/// opened again without that, where rows are not known to be independent.
fn load(
    engine: &dyn Engine,
    artifact: &EngineArtifact,
    settings: &VersionSettings,
    cancellation: &LoadCancellation,
) -> Result<(LoadedModel, BatchingDecision)> {
    let spec = LoadSpec {
        path: artifact.path.clone(),
        concurrency: settings.concurrency,
        max_batch_rows: joined_rows(settings),
        provider: settings.provider.clone(),
        options: settings.options.clone(),
    };
    let mut loaded = engine.load(&spec)?;
    cancellation.watch(&loaded.sessions)?;
    check_session_count(loaded.sessions.len(), settings)?;
    let Some(session) = loaded.sessions.first_mut() else {
        return Err(Error::internal("the engine opened no session"));
    };
    let batching = decide(&loaded.signature, settings, session.as_mut())?;
    cancellation.check()?;
    if loaded.pads_rows && !batching.is_batching && spec.max_batch_rows.is_some() {
        drop(loaded);
        let max_batch_rows = None;
        loaded = engine.load(&LoadSpec {
            max_batch_rows,
            ..spec
        })?;
        cancellation.watch(&loaded.sessions)?;
        check_session_count(loaded.sessions.len(), settings)?;
    }
    Ok((loaded, batching))
}

fn verification(settings: &VersionSettings, batching: &BatchingDecision) -> Verification {
    match (
        batching.is_batching && settings.batching.is_verified,
        batching.is_guess,
    ) {
        (false, _) => Verification::Off,
        (true, true) => Verification::OfGuess,
        (true, false) => Verification::OfRequest,
    }
}

/// Checks that an engine opened the requested number of sessions, and at least one.
fn check_session_count(n_sessions: usize, settings: &VersionSettings) -> Result<()> {
    let asked = settings.concurrency.n_sessions;
    let is_right = asked.map_or(n_sessions > 0, |asked| asked.get() == n_sessions);
    match is_right {
        true => Ok(()),
        false => {
            let asked = asked.map_or(1, NonZeroUsize::get);
            let message = format!("the engine opened {n_sessions} sessions, expected {asked}");
            Err(Error::internal(message))
        }
    }
}

fn log_loaded(info: &ModelInfo, batching: &BatchingDecision) {
    let (model, version) = (&info.model, &info.version);
    tracing::info!(
        %model,
        %version,
        instances = info.n_instances,
        threads = info.session_layout.threads,
        provider = info.session_layout.provider,
        shared = info.session_layout.is_shared,
        reason = info.session_layout.reason,
        "opened model"
    );
    let reason = &batching.reason;
    match (batching.is_doubtful, batching.is_batching) {
        (true, true) => tracing::warn!(%model, %version, %reason, "batching without proof"),
        (true, false) => tracing::warn!(%model, %version, %reason, "running requests one by one"),
        (false, is_batching) => {
            tracing::info!(%model, %version, is_batching, %reason, "decided about batching");
        }
    }
}

/// Returns the largest batch, unless the settings disable batching.
fn joined_rows(settings: &VersionSettings) -> Option<NonZeroUsize> {
    let max_rows = settings.batching.max_rows;
    let is_joined = settings.batching.is_enabled != Some(false) && max_rows > NonZeroUsize::MIN;
    is_joined.then_some(max_rows)
}

/// Checks that image settings fit the signature: one input with batch, channel, row and column, and
/// the same number of channels.
fn check_image(signature: &Signature, settings: &VersionSettings) -> Result<()> {
    const RANK: usize = 4;
    let Some(image) = &settings.image else {
        return Ok(());
    };
    let mut required = signature.inputs.iter().filter(|input| !input.is_optional);
    let (Some(input), None) = (required.next(), required.next()) else {
        return Err(Error::invalid(
            "`image` in `model.yaml` needs a model with exactly one input",
        ));
    };
    let (axis, layout) = match image.layout {
        ImageLayout::Nchw => (1, "nchw"),
        ImageLayout::Nhwc => (3, "nhwc"),
    };
    let channels = input.dims.get(axis).and_then(Dimension::fixed);
    let wanted = image.channels.count();
    if input.dims.len() != RANK || channels.is_some_and(|channels| channels != wanted) {
        return Err(Error::invalid(format!(
            "`image` in `model.yaml` makes tensors of {wanted} channels in layout `{layout}`, but \
             input `{}` has shape {:?}",
            input.name,
            input.wire_shape()
        )));
    }
    Ok(())
}

fn model_info(
    (model, version): (ModelName, Version),
    engine: &dyn Engine,
    artifact: &EngineArtifact,
    settings: &VersionSettings,
    loaded: &LoadedModel,
    batching: &BatchingDecision,
) -> ModelInfo {
    let is_batching = batching.is_batching;
    let file = fs::metadata(&artifact.path).ok();
    let modified = file.as_ref().and_then(|file| file.modified().ok());
    let mut metadata = loaded.metadata.clone();
    metadata
        .entry("provider".to_owned())
        .or_insert_with(|| loaded.layout.provider.clone());
    ModelInfo {
        model,
        version,
        signature: loaded.signature.clone(),
        max_request_rows: is_batching.then_some(settings.batching.max_request_rows),
        max_batch_rows: is_batching.then_some(settings.batching.max_rows),
        is_batching,
        batching_reason: batching.reason.clone(),
        max_batch_delay: if is_batching {
            settings.batching.max_delay.unwrap_or_default()
        } else {
            Duration::ZERO
        },
        n_instances: loaded.sessions.len(),
        session_layout: loaded.layout.clone(),
        data_dependent_cost: loaded.data_dependent_cost.clone(),
        platform: engine.platform().to_owned(),
        framework: engine.framework().to_owned(),
        description: settings.description.clone(),
        metadata,
        labels: match settings.labels.is_empty() {
            true => loaded.labels.clone(),
            false => settings.labels.clone(),
        },
        image: settings.image.clone(),
        output: settings.output.clone(),
        default_timeout: settings.timeout,
        created_at: modified.unwrap_or(SystemTime::UNIX_EPOCH),
        content_hash: hash(engine, artifact, file.as_ref()),
        file_bytes: file.filter(fs::Metadata::is_file).map(|file| file.len()),
    }
}

fn hash(
    engine: &dyn Engine,
    artifact: &EngineArtifact,
    file: Option<&fs::Metadata>,
) -> Option<String> {
    let companions = match file?.is_file() {
        true => engine.companions(&artifact.path),
        false => Vec::new(),
    };
    content_hash(&artifact.path, companions).ok()
}

#[cfg(test)]
mod tests;
