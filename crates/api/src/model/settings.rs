//! The settings of a version, as far as replies show them.

use std::time::Duration;

use contract::{ImageInput, ModelInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The settings of a version, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelSettings {
    /// The most rows of a request; `null` when requests have no rows.
    #[schema(required)]
    pub max_request_rows: Option<usize>,
    /// The most rows of a batch.
    #[schema(required)]
    pub max_batch_rows: Option<usize>,
    /// True when requests are batched.
    pub batching: bool,
    /// The reason for it.
    pub batching_reason: String,
    /// The most time in milliseconds that a request waits for others.
    pub max_batch_delay_ms: f64,
    /// The number of instances.
    pub instances: usize,
    /// Threads of each session.
    pub threads: usize,
    /// The execution provider.
    pub provider: String,
    /// The session mode that is in force, so never `auto`.
    pub session_mode: SessionMode,
    /// The reason for it.
    pub session_reason: String,
    /// The default timeout of a request in milliseconds.
    #[schema(required)]
    pub timeout_ms: Option<f64>,
    /// True when scores are converted to probabilities.
    pub softmax: bool,
    /// The number of the most probable classes in replies.
    pub top_k: usize,
    /// The preparation of pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub image: Option<ImageSettings>,
}

/// The image settings with the keys of `model.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageSettings {
    /// The size to which pictures are resized.
    #[schema(required)]
    pub resize: Option<ImageResize>,
    /// Height and width of the middle part that is kept.
    #[schema(required)]
    pub crop: Option<(u32, u32)>,
    /// The channels and their order.
    pub channels: ImageChannels,
    /// The order of the dimensions.
    pub layout: ImageLayout,
    /// The factor of each value.
    pub scale: f32,
    /// The means by channel.
    pub mean: Vec<f32>,
    /// The standard deviations by channel.
    pub std: Vec<f32>,
}

/// The size to which pictures are resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ImageResize {
    /// The length of the shorter side.
    ShorterSide(u32),
    /// Height and width.
    HeightAndWidth([u32; 2]),
}

/// The channels that a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageChannels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Luminance.
    Grey,
}

/// The order of the dimensions of an image tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageLayout {
    /// Channels before rows and columns.
    Nchw,
    /// Channels after rows and columns.
    Nhwc,
}

/// The sharing of the model weights between instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionMode {
    /// The engine decides.
    Auto,
    /// One session for each instance.
    Instances,
    /// One session for all instances.
    Shared,
}

impl From<&ModelInfo> for ModelSettings {
    fn from(info: &ModelInfo) -> Self {
        Self {
            max_request_rows: info.max_request_rows.map(usize::from),
            max_batch_rows: info.max_batch_rows.map(usize::from),
            batching: info.is_batching,
            batching_reason: info.batching_reason.clone(),
            max_batch_delay_ms: millis(info.max_batch_delay),
            instances: info.n_instances,
            threads: info.session_layout.threads.get(),
            provider: info.session_layout.provider.clone(),
            session_mode: info.session_layout.mode().into(),
            session_reason: info.session_layout.reason.clone(),
            timeout_ms: info.default_timeout.map(millis),
            softmax: info.output.softmax,
            top_k: info.output.top_k,
            image: info.image.as_ref().map(Into::into),
        }
    }
}

impl From<&ImageInput> for ImageSettings {
    fn from(image: &ImageInput) -> Self {
        Self {
            resize: match image.resize {
                contract::ImageResize::None => None,
                contract::ImageResize::ShorterSide(size) => Some(ImageResize::ShorterSide(size)),
                contract::ImageResize::Exact(height, width) => {
                    Some(ImageResize::HeightAndWidth([height, width]))
                }
            },
            crop: image.crop,
            channels: image.channels.into(),
            layout: image.layout.into(),
            scale: image.scale,
            mean: image.mean.clone(),
            std: image.std.clone(),
        }
    }
}

impl From<contract::ImageChannels> for ImageChannels {
    fn from(channels: contract::ImageChannels) -> Self {
        match channels {
            contract::ImageChannels::Rgb => Self::Rgb,
            contract::ImageChannels::Bgr => Self::Bgr,
            contract::ImageChannels::Grey => Self::Grey,
        }
    }
}

impl From<contract::ImageLayout> for ImageLayout {
    fn from(layout: contract::ImageLayout) -> Self {
        match layout {
            contract::ImageLayout::Nchw => Self::Nchw,
            contract::ImageLayout::Nhwc => Self::Nhwc,
        }
    }
}

impl From<contract::SessionMode> for SessionMode {
    fn from(mode: contract::SessionMode) -> Self {
        match mode {
            contract::SessionMode::Auto => Self::Auto,
            contract::SessionMode::Instances => Self::Instances,
            contract::SessionMode::Shared => Self::Shared,
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
