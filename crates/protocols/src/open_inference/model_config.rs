//! The configuration of a model in the terms of Triton's `ModelConfig`.
//!
//! Decision: only what differs between models is in [`ModelConfig`]; fields that Lockgate has no
//! setting for are constants of the transport that writes them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use contract::{ElementType, ModelInfo, ModelName, Result, TensorSpec, VersionSelector};

use super::metadata::{model_metadata, version_info};
use crate::context::Context;

/// The configuration of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelConfig {
    /// The name of the model.
    pub(crate) name: String,
    /// The platform, such as `onnxruntime_onnx`.
    pub(crate) platform: String,
    /// The backend, such as `onnxruntime`.
    pub(crate) backend: String,
    /// The number of latest versions that are served.
    pub(crate) n_latest_versions: u32,
    /// The most rows of one request; 0 when the first dimension is not a batch dimension.
    pub(crate) max_batch_size: i32,
    /// The inputs.
    pub(crate) inputs: Vec<TensorConfig>,
    /// The outputs.
    pub(crate) outputs: Vec<TensorConfig>,
    /// The settings of dynamic batching; `None` when it is off.
    pub(crate) dynamic_batching: Option<DynamicBatching>,
    /// The number of instances.
    pub(crate) n_instances: i32,
    /// The kind of device: `KIND_CPU`, or `KIND_AUTO` when the provider uses a GPU.
    pub(crate) instance_kind: InstanceKind,
    /// The file of the model in the folder of a version.
    pub(crate) default_model_filename: &'static str,
    /// Settings that only Lockgate has, by names that start with `lockgate.`.
    pub(crate) parameters: BTreeMap<&'static str, String>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorConfig {
    /// The name.
    pub(crate) name: String,
    /// The element type; see [`config_name`](super::datatype::config_name).
    pub(crate) data_type: ElementType,
    /// The dimensions without the batch, -1 for a size that is not fixed.
    pub(crate) dims: Vec<i64>,
    /// Is true when a request may leave it out.
    pub(crate) is_optional: bool,
}

/// The settings of dynamic batching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DynamicBatching {
    /// The most rows of a batch of several requests.
    pub(crate) preferred_batch_size: i32,
    /// The batch delay: the longest time that a request waits for others.
    pub(crate) max_queue_delay_microseconds: u64,
}

/// The kind of device of the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstanceKind {
    /// On a GPU if the model can, otherwise on the CPU.
    Auto,
    /// On the CPU.
    Cpu,
}

impl InstanceKind {
    /// Returns the name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "KIND_AUTO",
            Self::Cpu => "KIND_CPU",
        }
    }
}

/// Returns the configuration of the version that `version` selects.
pub(crate) fn model_config(
    ctx: &Context,
    name: &ModelName,
    version: &VersionSelector,
) -> Result<ModelConfig> {
    let info = version_info(ctx, name, version)?;
    let n_ready = model_metadata(ctx, name, &VersionSelector::Latest)
        .map(|metadata| metadata.versions.len())
        .unwrap_or_default();
    let rows = |max: Option<NonZeroUsize>| max.map_or(0, |max| saturated(max.get()));
    let dynamic_batching = info.is_batching.then(|| DynamicBatching {
        preferred_batch_size: rows(info.max_batch_rows),
        max_queue_delay_microseconds: u64::try_from(info.max_batch_delay.as_micros())
            .unwrap_or(u64::MAX),
    });
    let tensors = |specs: &[TensorSpec]| specs.iter().map(|s| tensor(&info, s)).collect();
    let (backend, default_model_filename) = match info.framework.as_str() {
        "onnx" => ("onnxruntime", "model.onnx"),
        other => (other, ""),
    };
    Ok(ModelConfig {
        name: info.model.to_string(),
        platform: info.platform.clone(),
        backend: backend.to_owned(),
        n_latest_versions: u32::try_from(n_ready.max(1)).unwrap_or(u32::MAX),
        max_batch_size: rows(info.max_request_rows),
        inputs: tensors(&info.signature.inputs),
        outputs: tensors(&info.signature.outputs),
        dynamic_batching,
        n_instances: saturated(info.n_instances),
        instance_kind: instance_kind(&info),
        default_model_filename,
        parameters: parameters(&info),
    })
}

fn instance_kind(info: &ModelInfo) -> InstanceKind {
    match info.metadata.get("provider").map(String::as_str) {
        Some("cuda") => InstanceKind::Auto,
        Some(_) | None => InstanceKind::Cpu,
    }
}

fn saturated(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn tensor(info: &ModelInfo, spec: &TensorSpec) -> TensorConfig {
    let n_batch_dims = usize::from(info.max_request_rows.is_some());
    TensorConfig {
        name: spec.name.clone(),
        data_type: spec.element_type,
        dims: spec.wire_shape().into_iter().skip(n_batch_dims).collect(),
        is_optional: spec.is_optional,
    }
}

fn parameters(info: &ModelInfo) -> BTreeMap<&'static str, String> {
    let mut parameters = BTreeMap::from([("lockgate.framework", info.framework.clone())]);
    if info.output.softmax {
        parameters.insert("lockgate.output.softmax", "true".to_owned());
    }
    if let Some(timeout) = info.default_timeout {
        let micros = timeout.as_micros().to_string();
        parameters.insert("lockgate.default_timeout_microseconds", micros);
    }
    parameters
}
