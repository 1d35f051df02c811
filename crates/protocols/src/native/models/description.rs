//! Models, versions and signatures as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use contract::{
    ImageChannels, ImageInput, ImageLayout, ImageResize, ModelInfo, ModelName, ModelStatus,
    TensorSpec, Version, VersionStatus,
};
use jiff::Timestamp;
use serde::Serialize;

use super::scheduling::SchedulingEntry;

/// A model with its versions.
#[derive(Serialize)]
pub(super) struct ModelEntry<'a> {
    name: &'a str,
    ready: bool,
    /// The version that answers when none is named.
    latest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The pinned version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<&'a str>,
    /// Labels, which are usable wherever a version is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    versions: Vec<VersionDetail<'a>>,
}

impl<'a> ModelEntry<'a> {
    /// Returns the versions and their states.
    pub(super) fn summary(model: &'a ModelStatus) -> Self {
        Self::new(model, VersionDetail::summary)
    }

    /// Returns all details.
    pub(super) fn detail(model: &'a ModelStatus) -> Self {
        Self::new(model, |status| VersionDetail::new(None, status))
    }

    fn new(
        model: &'a ModelStatus,
        version: impl Fn(&'a VersionStatus) -> VersionDetail<'a>,
    ) -> Self {
        let latest = model.latest();
        let labels = model.routing.labels.iter();
        Self {
            name: model.name.as_str(),
            ready: latest.is_some(),
            latest: latest.map(|status| status.version.as_str()),
            reason: model.problem(),
            pinned: model.routing.pinned.as_ref().map(Version::as_str),
            labels: labels
                .map(|(label, version)| (label.as_str(), version.as_str()))
                .collect(),
            versions: model.versions.iter().map(version).collect(),
        }
    }
}

/// A version, with details once it has been loaded.
#[derive(Serialize)]
pub(super) struct VersionDetail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    version: &'a str,
    state: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    requests_in_flight: usize,
    #[serde(flatten)]
    info: Option<Info<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduling: Option<SchedulingEntry<'a>>,
}

impl<'a> VersionDetail<'a> {
    /// Returns all details, with the name of the model when no outer object names it.
    pub(super) fn new(name: Option<&'a ModelName>, status: &'a VersionStatus) -> Self {
        Self {
            name: name.map(ModelName::as_str),
            info: status.info.as_deref().map(Info::new),
            scheduling: status.scheduling.as_ref().map(SchedulingEntry::new),
            ..Self::summary(status)
        }
    }

    fn summary(status: &'a VersionStatus) -> Self {
        Self {
            name: None,
            version: status.version.as_str(),
            state: status.state.as_str().to_ascii_lowercase(),
            reason: &status.reason,
            requests_in_flight: status.n_in_flight,
            info: None,
            scheduling: None,
        }
    }
}

#[derive(Serialize)]
struct Info<'a> {
    framework: &'a str,
    platform: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    created_at: String,
    inputs: Vec<TensorEntry<'a>>,
    outputs: Vec<TensorEntry<'a>>,
    labels: &'a [String],
    settings: Settings<'a>,
    metadata: &'a BTreeMap<String, String>,
}

impl<'a> Info<'a> {
    fn new(info: &'a ModelInfo) -> Self {
        Self {
            framework: &info.framework,
            platform: &info.platform,
            description: &info.description,
            created_at: time_text(info.created_at),
            inputs: entries(&info.signature.inputs),
            outputs: entries(&info.signature.outputs),
            labels: &info.labels,
            settings: Settings::new(info),
            metadata: &info.metadata,
        }
    }
}

/// An input or output; -1 stands for a dimension of any size.
#[derive(Serialize)]
struct TensorEntry<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: Vec<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

fn entries(specs: &[TensorSpec]) -> Vec<TensorEntry<'_>> {
    specs
        .iter()
        .map(|spec| TensorEntry {
            name: &spec.name,
            datatype: spec.element_type.name(),
            shape: spec.wire_shape(),
            optional: spec.is_optional,
        })
        .collect()
}

#[derive(Serialize)]
struct Settings<'a> {
    max_request_rows: Option<usize>,
    max_batch_rows: Option<usize>,
    batching: bool,
    batching_reason: &'a str,
    max_batch_delay_ms: f64,
    instances: usize,
    threads: usize,
    provider: &'a str,
    session_mode: &'static str,
    session_reason: &'a str,
    timeout_ms: Option<f64>,
    softmax: bool,
    top_k: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageEntry<'a>>,
}

impl<'a> Settings<'a> {
    fn new(info: &'a ModelInfo) -> Self {
        Self {
            max_request_rows: info.max_request_rows.map(usize::from),
            max_batch_rows: info.max_batch_rows.map(usize::from),
            batching: info.is_batching,
            batching_reason: &info.batching_reason,
            max_batch_delay_ms: millis(info.max_batch_delay),
            instances: info.n_instances,
            threads: info.session_layout.threads.get(),
            provider: &info.session_layout.provider,
            session_mode: info.session_layout.mode().as_str(),
            session_reason: &info.session_layout.reason,
            timeout_ms: info.default_timeout.map(millis),
            softmax: info.output.softmax,
            top_k: info.output.top_k,
            image: info.image.as_ref().map(ImageEntry::new),
        }
    }
}

/// The image settings with the keys of `model.yaml`.
#[derive(Serialize)]
struct ImageEntry<'a> {
    resize: Option<Size>,
    crop: Option<(u32, u32)>,
    channels: &'static str,
    layout: &'static str,
    scale: f32,
    mean: &'a [f32],
    std: &'a [f32],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Size {
    ShorterSide(u32),
    HeightAndWidth(u32, u32),
}

impl<'a> ImageEntry<'a> {
    fn new(image: &'a ImageInput) -> Self {
        Self {
            resize: match image.resize {
                ImageResize::None => None,
                ImageResize::ShorterSide(size) => Some(Size::ShorterSide(size)),
                ImageResize::Exact(height, width) => Some(Size::HeightAndWidth(height, width)),
            },
            crop: image.crop,
            channels: match image.channels {
                ImageChannels::Rgb => "rgb",
                ImageChannels::Bgr => "bgr",
                ImageChannels::Grey => "grey",
            },
            layout: match image.layout {
                ImageLayout::Nchw => "nchw",
                ImageLayout::Nhwc => "nhwc",
            },
            scale: image.scale,
            mean: &image.mean,
            std: &image.std,
        }
    }
}

/// The reply of `GET /model/info`.
#[derive(Serialize)]
pub(super) struct InfoReply<'a> {
    model_name: &'a str,
    version: &'a str,
    framework: &'a str,
    input_shape: Shapes<'a>,
    output_shape: Shapes<'a>,
    created_at: String,
    inputs: Vec<TensorEntry<'a>>,
    outputs: Vec<TensorEntry<'a>>,
}

/// One shape by itself, several by name.
#[derive(Serialize)]
#[serde(untagged)]
enum Shapes<'a> {
    Only(Vec<i64>),
    Named(BTreeMap<&'a str, Vec<i64>>),
}

impl<'a> InfoReply<'a> {
    /// Returns the description of one version.
    pub(super) fn new(info: &'a ModelInfo) -> Self {
        Self {
            model_name: info.model.as_str(),
            version: info.version.as_str(),
            framework: &info.framework,
            input_shape: shapes(&info.signature.inputs),
            output_shape: shapes(&info.signature.outputs),
            created_at: time_text(info.created_at),
            inputs: entries(&info.signature.inputs),
            outputs: entries(&info.signature.outputs),
        }
    }
}

fn shapes(specs: &[TensorSpec]) -> Shapes<'_> {
    match specs {
        [only] => Shapes::Only(only.wire_shape()),
        several => Shapes::Named(
            several
                .iter()
                .map(|spec| (spec.name.as_str(), spec.wire_shape()))
                .collect(),
        ),
    }
}

/// Formats a time in RFC 3339, to the second. A file system cannot give one that a timestamp cannot
/// hold.
fn time_text(time: SystemTime) -> String {
    format!("{:.0}", Timestamp::try_from(time).unwrap_or_default())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
