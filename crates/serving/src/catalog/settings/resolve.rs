//! Resolved settings of a model: every value decided.
//!
//! Decision: the numbers of sessions and threads are passed on to the engine as far as they are
//! written, because the best values depend on the size of the model and on the hardware.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::model;
use api::split::Traffic;
use contract::{
    Concurrency, ImageChannels, ImageInput, ImageLayout, ImageResize, NewVersions,
    OutputPostprocessing, SessionMode, Split, Version,
};
use stats::assignment::Assigner;

use super::SettingsError;
use super::file::{
    BatchingFile, ImageFile, ModelFile, NumbersFile, OutputFile, QueueFile, SizeFile, VersionsFile,
    WarmupFile,
};
use crate::batch::policy::types::QueueLimit;
use crate::loaded_version::Execution;

/// Default batch size: it keeps a network on a CPU busy without making the first row wait long.
const DEFAULT_MAX_BATCH_ROWS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Default limit of rows: some thousands in one call, but none that holds an instance for minutes.
const DEFAULT_MAX_REQUEST_ROWS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Largest number of instances and threads; a larger one is a typing mistake.
const MAX_INSTANCES: usize = 1024;

/// Largest batch delay; a request that would wait longer is better refused.
const MAX_BATCH_DELAY_MS: f64 = 60_000.0;

/// Default limit of a run. A batch of thousands of rows through a large network takes a minute or
/// two; a longer one has gone wrong, and its instance is worth more than its answer.
pub(crate) const DEFAULT_RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// Default scale: pixels are bytes, and most networks were trained on numbers from 0 to 1.
const DEFAULT_SCALE: f32 = 1.0 / 255.0;

/// Defaults for settings that a model leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SettingsDefaults {
    /// The cores that the process may use.
    pub(crate) cores: NonZeroUsize,
    /// The most rows that wait.
    pub(crate) max_queue_rows: NonZeroUsize,
    /// The time a request may take.
    pub(crate) timeout: Option<Duration>,
    /// The treatment of versions that are added.
    pub(crate) new_versions: NewVersions,
}

/// Selection of the versions to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VersionPolicy {
    /// Every one.
    All,
    /// This many of the highest.
    Latest(NonZeroUsize),
    /// These and no others.
    Only(BTreeSet<Version>),
}

/// Dynamic batching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batching {
    /// Switch for batching; `None` when a trial decides, given a batch dimension.
    pub(crate) is_enabled: Option<bool>,
    /// The most rows of one batch of several requests.
    pub(crate) max_rows: NonZeroUsize,
    /// The most rows of one request, never below `max_rows`.
    pub(crate) max_request_rows: NonZeroUsize,
    /// The batch delay; `None` when the scheduler decides.
    pub(crate) max_delay: Option<Duration>,
    /// Set when a sample of joined requests is run again alone.
    pub(crate) is_verified: bool,
}

/// Runs before a version takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warmup {
    /// Set when there are any.
    pub(crate) is_enabled: bool,
    /// The numbers of rows, ascending.
    pub(crate) batch_rows: BTreeSet<NonZeroUsize>,
    /// Exact shapes by input.
    pub(crate) shapes: BTreeMap<String, Vec<usize>>,
}

/// Everything that is decided about a model before an artifact is opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelSettings {
    /// The versions to serve.
    pub(crate) versions: VersionPolicy,
    /// The treatment of versions that are added.
    pub(crate) new_versions: NewVersions,
    /// The traffic split, until an operator sets another one.
    pub(crate) traffic: Option<Split>,
    /// Settings of each version; it is loaded again when they change.
    pub(crate) version_settings: Arc<VersionSettings>,
}

/// Settings of a version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VersionSettings {
    /// A sentence about the model.
    pub(crate) description: String,
    /// The engine; `None` for the first that finds an artifact.
    pub(crate) engine: Option<String>,
    /// Sessions, their threads and their sharing.
    pub(crate) concurrency: Concurrency,
    /// The execution target of requests.
    pub(crate) execution: Execution,
    /// The execution provider; `None` for the choice of the engine.
    pub(crate) provider: Option<String>,
    /// Options of the engine.
    pub(crate) options: BTreeMap<String, String>,
    /// Dynamic batching.
    pub(crate) batching: Batching,
    /// Limit of the queue.
    pub(crate) queue: QueueLimit,
    /// The longest that a request may take.
    pub(crate) timeout: Option<Duration>,
    /// The longest that a run may take.
    pub(crate) run_timeout: Duration,
    /// Runs before the version takes requests.
    pub(crate) warmup: Warmup,
    /// Names of the classes.
    pub(crate) labels: Vec<String>,
    /// Pre-processing of images.
    pub(crate) image: Option<ImageInput>,
    /// Post-processing of scores.
    pub(crate) output: OutputPostprocessing,
}

/// Builds errors about one key of one file.
#[derive(Clone, Copy)]
struct KeyErrors<'a>(&'a Path);

impl KeyErrors<'_> {
    fn error(self, key: &'static str, message: impl Into<String>) -> SettingsError {
        SettingsError::Value {
            path: self.0.to_owned(),
            key,
            message: message.into(),
        }
    }
}

/// Resolves everything that `file` leaves open. `read_text` reads a file beside `path`.
pub(crate) fn resolve(
    file: ModelFile,
    path: &Path,
    defaults: &SettingsDefaults,
    read_text: impl FnOnce(&Path) -> Result<String, SettingsError>,
) -> Result<ModelSettings, SettingsError> {
    let keys = KeyErrors(path);
    check_counts(keys, file.instances, file.threads)?;
    let batching = batching(keys, &file.batching.unwrap_or_default())?;
    let versions = versions(keys, file.versions)?;
    let traffic = file.traffic.map(|file| traffic(keys, file)).transpose()?;
    let version_settings = VersionSettings {
        description: file.description.unwrap_or_default(),
        engine: file.engine,
        concurrency: Concurrency {
            cores: defaults.cores,
            n_sessions: file.instances,
            threads: file.threads,
            mode: match file.session_mode {
                None | Some(model::SessionMode::Auto) => SessionMode::Auto,
                Some(model::SessionMode::Instances) => SessionMode::Instances,
                Some(model::SessionMode::Shared) => SessionMode::Shared,
            },
        },
        execution: file.execution.map_or(Execution::Auto, Into::into),
        provider: file.provider,
        options: file.options.unwrap_or_default(),
        warmup: warmup(keys, file.warmup.unwrap_or_default(), &batching)?,
        batching,
        queue: queue(&file.queue.unwrap_or_default(), defaults),
        timeout: file.timeout_ms.map(millis).or(defaults.timeout),
        run_timeout: file.run_timeout_ms.map_or(DEFAULT_RUN_TIMEOUT, millis),
        labels: labels(keys, file.labels, file.labels_file, read_text)?,
        image: file
            .image
            .map(|image| resolve_image(keys, image))
            .transpose()?,
        output: output(&file.output.unwrap_or_default()),
    };
    Ok(ModelSettings {
        versions,
        new_versions: file.new_versions.map_or(defaults.new_versions, Into::into),
        traffic,
        version_settings: Arc::new(version_settings),
    })
}

fn traffic(keys: KeyErrors<'_>, file: Traffic) -> Result<Split, SettingsError> {
    let checked = file.into_split().and_then(|split| {
        Assigner::new(&split, "")?;
        Ok(split)
    });
    checked.map_err(|error| keys.error("traffic", error.message()))
}

fn millis(millis: NonZeroU32) -> Duration {
    Duration::from_millis(u64::from(millis.get()))
}

fn versions(
    keys: KeyErrors<'_>,
    file: Option<VersionsFile>,
) -> Result<VersionPolicy, SettingsError> {
    match file {
        None | Some(VersionsFile::All) => Ok(VersionPolicy::All),
        Some(VersionsFile::Latest(n)) => Ok(VersionPolicy::Latest(n)),
        Some(VersionsFile::Only(names)) => {
            if names.is_empty() {
                return Err(keys.error("versions.only", "the list is empty; name a version"));
            }
            let version = |name: String| {
                Version::new(&name).map_err(|error| keys.error("versions.only", error.message()))
            };
            let versions: Result<_, _> = names.into_iter().map(version).collect();
            Ok(VersionPolicy::Only(versions?))
        }
    }
}

fn check_counts(
    keys: KeyErrors<'_>,
    instances: Option<NonZeroUsize>,
    threads: Option<NonZeroUsize>,
) -> Result<(), SettingsError> {
    for (key, count) in [("instances", instances), ("threads", threads)] {
        if count.is_some_and(|count| count.get() > MAX_INSTANCES) {
            let message = format!("expected a number from 1 to {MAX_INSTANCES}");
            return Err(keys.error(key, message));
        }
    }
    Ok(())
}

fn queue(file: &QueueFile, defaults: &SettingsDefaults) -> QueueLimit {
    match file.max_rows {
        Some(max_rows) => QueueLimit::Fixed(max_rows.get()),
        None => QueueLimit::Learned {
            at_most: defaults.max_queue_rows.get(),
        },
    }
}

fn batching(keys: KeyErrors<'_>, file: &BatchingFile) -> Result<Batching, SettingsError> {
    let is_possible = |delay_ms: &f64| (0.0..=MAX_BATCH_DELAY_MS).contains(delay_ms);
    if let Some(delay_ms) = file.max_delay_ms.filter(|delay_ms| !is_possible(delay_ms)) {
        let message =
            format!("expected milliseconds from 0 to {MAX_BATCH_DELAY_MS}, got `{delay_ms}`");
        return Err(keys.error("batching.max_delay_ms", message));
    }
    let delay = |delay_ms: f64| Duration::from_secs_f64(delay_ms / 1000.0);
    let max_rows = file.max_size.unwrap_or(DEFAULT_MAX_BATCH_ROWS);
    let max_request_rows = file.max_request_rows.unwrap_or(DEFAULT_MAX_REQUEST_ROWS);
    Ok(Batching {
        is_enabled: file.enabled,
        max_rows,
        max_request_rows: max_request_rows.max(max_rows),
        max_delay: file.max_delay_ms.map(delay),
        is_verified: file.verify.unwrap_or(true),
    })
}

fn warmup(
    keys: KeyErrors<'_>,
    file: WarmupFile,
    batching: &Batching,
) -> Result<Warmup, SettingsError> {
    let batch_rows: BTreeSet<_> = match file.batch_sizes {
        Some(sizes) => sizes.into_iter().collect(),
        // Without batching, only callers make large batches.
        None if batching.is_enabled == Some(false) => [NonZeroUsize::MIN].into(),
        None => [NonZeroUsize::MIN, batching.max_rows].into(),
    };
    if let Some(size) = batch_rows.iter().find(|&&size| size > batching.max_rows) {
        let message = format!(
            "`{size}` is above `batching.max_size`, which is `{}`",
            batching.max_rows
        );
        return Err(keys.error("warmup.batch_sizes", message));
    }
    Ok(Warmup {
        is_enabled: file.enabled.unwrap_or(true),
        batch_rows,
        shapes: file.shapes.unwrap_or_default(),
    })
}

fn labels(
    keys: KeyErrors<'_>,
    labels: Option<Vec<String>>,
    file: Option<PathBuf>,
    read_text: impl FnOnce(&Path) -> Result<String, SettingsError>,
) -> Result<Vec<String>, SettingsError> {
    match (labels, file) {
        (Some(_), Some(_)) => Err(keys.error("labels_file", "give `labels` or this, not both")),
        (Some(labels), None) => Ok(labels),
        (None, None) => Ok(Vec::new()),
        (None, Some(file)) => {
            let is_inside = file.components().all(|c| matches!(c, Component::Normal(_)));
            if !is_inside {
                let message = "expected a file in the folder of the model";
                return Err(keys.error("labels_file", message));
            }
            let text = read_text(&file)?;
            Ok(text
                .lines()
                .map(|line| line.trim_end().to_owned())
                .collect())
        }
    }
}

fn resolve_image(keys: KeyErrors<'_>, file: ImageFile) -> Result<ImageInput, SettingsError> {
    let channels = match file.channels {
        None | Some(model::ImageChannels::Rgb) => ImageChannels::Rgb,
        Some(model::ImageChannels::Bgr) => ImageChannels::Bgr,
        Some(model::ImageChannels::Grey) => ImageChannels::Grey,
    };
    let scale = file.scale.unwrap_or(DEFAULT_SCALE);
    if !scale.is_finite() || scale == 0.0 {
        return Err(keys.error("image.scale", "expected a number other than 0"));
    }
    let std = per_channel(keys, "image.std", file.std, 1.0, channels)?;
    if std.contains(&0.0) {
        return Err(keys.error("image.std", "pixels are divided by it, so it cannot be 0"));
    }
    Ok(ImageInput {
        resize: match file.resize {
            None => ImageResize::None,
            Some(SizeFile::Side(side)) => ImageResize::ShorterSide(side.get()),
            Some(SizeFile::Pair(height, width)) => ImageResize::Exact(height.get(), width.get()),
        },
        crop: file.crop.map(|crop| match crop {
            SizeFile::Side(side) => (side.get(), side.get()),
            SizeFile::Pair(height, width) => (height.get(), width.get()),
        }),
        channels,
        layout: match file.layout {
            None | Some(model::ImageLayout::Nchw) => ImageLayout::Nchw,
            Some(model::ImageLayout::Nhwc) => ImageLayout::Nhwc,
        },
        scale,
        mean: per_channel(keys, "image.mean", file.mean, 0.0, channels)?,
        std,
    })
}

/// Returns one number, or one per channel.
fn per_channel(
    keys: KeyErrors<'_>,
    key: &'static str,
    numbers: Option<NumbersFile>,
    default: f32,
    channels: ImageChannels,
) -> Result<Vec<f32>, SettingsError> {
    let numbers = match numbers {
        None => vec![default],
        Some(NumbersFile::One(number)) => vec![number],
        Some(NumbersFile::Each(numbers)) => numbers,
    };
    let (given, wanted) = (numbers.len(), channels.count());
    if given != 1 && given != wanted {
        let message = format!("expected 1 number or {wanted}, one per channel, got {given}");
        return Err(keys.error(key, message));
    }
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(keys.error(key, "expected finite numbers"));
    }
    Ok(numbers)
}

fn output(file: &OutputFile) -> OutputPostprocessing {
    let default = OutputPostprocessing::default();
    OutputPostprocessing {
        softmax: file.softmax.unwrap_or(default.softmax),
        top_k: file.top_k.map_or(default.top_k, NonZeroUsize::get),
    }
}
