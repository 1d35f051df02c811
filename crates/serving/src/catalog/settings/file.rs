//! `model.yaml` as written, key by key.
//!
//! Decision: every key is optional here and has no default, so that defaults are decided only when
//! settings are resolved; types that refuse a value (a zero, an unknown word) do so with line and
//! column. A key without a value counts as left out.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use api::model::{ImageChannels, ImageLayout, SessionMode};
use api::split::Traffic;
use contract::NewVersions;
use serde::Deserialize;

use crate::loaded_version::Execution;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ModelFile {
    /// A sentence about the model, shown in its metadata.
    pub(crate) description: Option<String>,
    /// The versions to serve.
    pub(crate) versions: Option<VersionsFile>,
    /// The treatment of versions that are added.
    pub(crate) new_versions: Option<NewVersionsFile>,
    /// The engine, when several could open the artifact.
    pub(crate) engine: Option<String>,
    /// Number of instances.
    pub(crate) instances: Option<NonZeroUsize>,
    /// Threads inside one session.
    pub(crate) threads: Option<NonZeroUsize>,
    /// Sharing of the model weights between instances.
    pub(crate) session_mode: Option<SessionMode>,
    /// The execution target of requests.
    pub(crate) execution: Option<ExecutionFile>,
    /// The execution provider.
    pub(crate) provider: Option<String>,
    /// Options of the engine, by name.
    pub(crate) options: Option<BTreeMap<String, String>>,
    /// Dynamic batching.
    pub(crate) batching: Option<BatchingFile>,
    /// The queue.
    pub(crate) queue: Option<QueueFile>,
    /// The longest that a request may take.
    pub(crate) timeout_ms: Option<NonZeroU32>,
    /// The longest that a run may take.
    pub(crate) run_timeout_ms: Option<NonZeroU32>,
    /// Runs before the version takes requests.
    pub(crate) warmup: Option<WarmupFile>,
    /// Names of the classes.
    pub(crate) labels: Option<Vec<String>>,
    /// A file with one class name per line, beside `model.yaml`.
    pub(crate) labels_file: Option<PathBuf>,
    /// Pre-processing, for models that take images.
    pub(crate) image: Option<ImageFile>,
    /// Post-processing of scores.
    pub(crate) output: Option<OutputFile>,
    /// The split that the model starts with.
    pub(crate) traffic: Option<Traffic>,
}

/// `versions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum VersionsFile {
    /// Every version folder.
    All,
    /// This many of the highest.
    Latest(NonZeroUsize),
    /// These and no others.
    Only(Vec<String>),
}

/// `new_versions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum NewVersionsFile {
    /// They answer by default once they are ready.
    Serve,
    /// They answer by default only once they were promoted.
    Wait,
}

impl From<NewVersionsFile> for NewVersions {
    fn from(file: NewVersionsFile) -> Self {
        match file {
            NewVersionsFile::Serve => Self::Serve,
            NewVersionsFile::Wait => Self::Wait,
        }
    }
}

/// `execution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecutionFile {
    /// Chosen by the measured cost.
    Auto,
    /// On threads of the model.
    Pool,
    /// On the thread of the connection.
    Inline,
}

impl From<ExecutionFile> for Execution {
    fn from(file: ExecutionFile) -> Self {
        match file {
            ExecutionFile::Auto => Self::Auto,
            ExecutionFile::Pool => Self::Pool,
            ExecutionFile::Inline => Self::Inline,
        }
    }
}

/// `batching`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BatchingFile {
    /// Switch for batching.
    pub(crate) enabled: Option<bool>,
    /// The most rows of one batch.
    pub(crate) max_size: Option<NonZeroUsize>,
    /// The most rows of one request.
    pub(crate) max_request_rows: Option<NonZeroUsize>,
    /// The batch delay: the longest that a request waits for others.
    pub(crate) max_delay_ms: Option<f64>,
    /// Switch for running a sample of joined requests again alone.
    pub(crate) verify: Option<bool>,
}

/// `queue`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueueFile {
    /// The most rows that wait.
    pub(crate) max_rows: Option<NonZeroUsize>,
}

/// `warmup`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WarmupFile {
    /// Switch for the warm-up.
    pub(crate) enabled: Option<bool>,
    /// The numbers of rows that are tried.
    pub(crate) batch_sizes: Option<Vec<NonZeroUsize>>,
    /// The exact shape of an input, by its name.
    pub(crate) shapes: Option<BTreeMap<String, Vec<usize>>>,
}

/// `image`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageFile {
    /// The shorter side, or height and width.
    pub(crate) resize: Option<SizeFile>,
    /// The side of a square, or height and width.
    pub(crate) crop: Option<SizeFile>,
    /// The channels and their order.
    pub(crate) channels: Option<ImageChannels>,
    /// The order of the dimensions.
    pub(crate) layout: Option<ImageLayout>,
    /// The factor for pixels of 0 to 255.
    pub(crate) scale: Option<f32>,
    /// Subtracted after scaling.
    pub(crate) mean: Option<NumbersFile>,
    /// Divisor, applied after subtracting.
    pub(crate) std: Option<NumbersFile>,
}

/// A size in pixels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(
    untagged,
    expecting = "expected a number of pixels, or [height, width]"
)]
pub(crate) enum SizeFile {
    /// One number.
    Side(NonZeroU32),
    /// Height and width.
    Pair(NonZeroU32, NonZeroU32),
}

/// A number for all channels, or one for each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(
    untagged,
    expecting = "expected a number, or a list with one number per channel"
)]
pub(crate) enum NumbersFile {
    /// The same for all.
    One(f32),
    /// One for each.
    Each(Vec<f32>),
}

/// `output`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OutputFile {
    /// Switch for the softmax: set when the scores are logits.
    pub(crate) softmax: Option<bool>,
    /// Number of best classes in a reply to an image.
    pub(crate) top_k: Option<NonZeroUsize>,
}
