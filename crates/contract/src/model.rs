//! Models: their names, versions and signatures, and the description of one loaded version.

mod name;
mod signature;
mod version;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use name::ModelName;
pub use signature::{Dimension, Signature, TensorSpec};
pub use version::{Version, VersionSelector};

use crate::concurrency::SessionLayout;

/// Description of one loaded version: all that decoding, validation and metadata need.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The name of the model.
    pub model: ModelName,
    /// The version, always concrete.
    pub version: Version,
    /// Inputs and outputs.
    pub signature: Signature,
    /// The most rows of one request; `None` when requests are not joined, so that their rows are
    /// neither counted nor cut.
    pub max_request_rows: Option<NonZeroUsize>,
    /// The most rows of a batch of several requests; `None` when requests are not joined.
    pub max_batch_rows: Option<NonZeroUsize>,
    /// True when waiting requests are joined into batches.
    pub is_batching: bool,
    /// The reason why they are, or why not and what would change that.
    pub batching_reason: String,
    /// The longest batch delay.
    pub max_batch_delay: Duration,
    /// The number of instances.
    pub n_instances: usize,
    /// The layout that the engine chose for their sessions, with its reason.
    pub session_layout: SessionLayout,
    /// The reason why the cost of a run depends on the values of its inputs and not on their shapes
    /// alone; `None` where it follows from the shapes.
    pub data_dependent_cost: Option<String>,
    /// The platform as the Open Inference Protocol names it, such as `onnxruntime_onnx`.
    pub platform: String,
    /// The framework, such as `onnx`.
    pub framework: String,
    /// The description that the owner of the model wrote.
    pub description: String,
    /// Metadata from the model file: producer, domain, custom keys. The execution provider in use
    /// is added as `provider`.
    pub metadata: BTreeMap<String, String>,
    /// The names of the classes, by class number; empty when none are given.
    pub labels: Vec<String>,
    /// The conversion of an image to the input tensor, for models that take images.
    pub image: Option<ImageInput>,
    /// The post-processing of scores into predictions.
    pub output: OutputPostprocessing,
    /// The longest time that a request may take, even if the caller allows more.
    pub default_timeout: Option<Duration>,
    /// The modification time of the model file.
    pub created_at: SystemTime,
    /// The size of the model file; `None` when the artifact is a folder, or cannot be read.
    pub file_bytes: Option<u64>,
    /// The SHA-256 hash of the model file, or of the list of its files, as hexadecimal digits;
    /// `None` when they cannot be read.
    pub content_hash: Option<String>,
}

impl ModelInfo {
    /// Returns the name of class number `index`, when labels are given.
    #[must_use]
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index).map(String::as_str)
    }

    /// Returns a copy of this description with batching off for this reason.
    #[must_use]
    pub fn without_batching(&self, reason: String) -> Self {
        Self {
            max_request_rows: None,
            max_batch_rows: None,
            is_batching: false,
            batching_reason: reason,
            max_batch_delay: Duration::ZERO,
            ..self.clone()
        }
    }
}

/// Description of a loaded version, shared by its requests.
pub type SharedModelInfo = Arc<ModelInfo>;

/// Image pre-processing: decode, resize, crop, convert, `(pixel * scale - mean) / std`.
///
/// The steps and their order are those of torchvision's classification transforms on PIL images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInput {
    /// The resize step.
    pub resize: ImageResize,
    /// Height and width of the centre crop, in pixels.
    pub crop: Option<(u32, u32)>,
    /// The channels and their order.
    pub channels: ImageChannels,
    /// The order of the dimensions.
    pub layout: ImageLayout,
    /// The factor for pixels of 0 to 255.
    pub scale: f32,
    /// The numbers that are subtracted after scaling: one, or one per channel.
    pub mean: Vec<f32>,
    /// The divisors after subtracting: one, or one per channel.
    pub std: Vec<f32>,
}

/// The first step of image pre-processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageResize {
    /// The image keeps its size.
    None,
    /// The shorter side becomes this many pixels; the aspect ratio is kept.
    ShorterSide(u32),
    /// The image is stretched to height and width in pixels.
    Exact(u32, u32),
}

/// The channels that a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageChannels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of luminance.
    Grey,
}

impl ImageChannels {
    /// Returns the number of channels.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// The order of the dimensions of an image tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageLayout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// Post-processing of the scores of a classifier into predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPostprocessing {
    /// True when the scores are logits, to be turned into probabilities.
    pub softmax: bool,
    /// The number of best classes in a reply to an image.
    pub top_k: usize,
}

impl Default for OutputPostprocessing {
    fn default() -> Self {
        Self {
            softmax: false,
            top_k: 5,
        }
    }
}
