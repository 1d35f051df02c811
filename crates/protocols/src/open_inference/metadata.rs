//! Metadata and readiness of the server and its models.

use contract::{
    Code, ModelName, ModelStatus, Result, Route, SharedModelInfo, Target, TensorSpec,
    VersionSelector, VersionState, VersionStatus,
};

use crate::context::Context;

/// The extensions of the protocol that work here; clients switch features on by this list.
pub(crate) const EXTENSIONS: [&str; 7] = [
    "classification",
    "model_repository",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
];

/// The name of this server on the wire.
pub(crate) const SERVER_NAME: &str = "lockgate";

/// The metadata of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelMetadata {
    /// The name.
    pub(crate) name: String,
    /// The ready versions, ascending; only one when the caller named it.
    pub(crate) versions: Vec<String>,
    /// The platform.
    pub(crate) platform: String,
    /// The inputs.
    pub(crate) inputs: Vec<TensorMetadata>,
    /// The outputs.
    pub(crate) outputs: Vec<TensorMetadata>,
}

/// The metadata of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorMetadata {
    /// The name.
    pub(crate) name: String,
    /// The element type, such as `FP32`.
    pub(crate) datatype: &'static str,
    /// The shape with the batch dimension, -1 for a size that is not fixed.
    pub(crate) shape: Vec<i64>,
}

impl TensorMetadata {
    fn new(spec: &TensorSpec) -> Self {
        Self {
            name: spec.name.clone(),
            datatype: spec.element_type.name(),
            shape: spec.wire_shape(),
        }
    }
}

/// Returns the metadata of a model, or of one version of it.
pub(crate) fn model_metadata(
    ctx: &Context,
    name: &ModelName,
    version: &VersionSelector,
) -> Result<ModelMetadata> {
    let info = version_info(ctx, name, version)?;
    let versions = match version {
        VersionSelector::Latest => ready_versions(&ctx.catalog.model(name)?),
        VersionSelector::Named(_) => vec![info.version.to_string()],
    };
    Ok(ModelMetadata {
        name: info.model.to_string(),
        versions,
        platform: info.platform.clone(),
        inputs: info
            .signature
            .inputs
            .iter()
            .map(TensorMetadata::new)
            .collect(),
        outputs: info
            .signature
            .outputs
            .iter()
            .map(TensorMetadata::new)
            .collect(),
    })
}

/// Returns the ready version that `version` names.
///
/// # Errors
/// Those of [`route`].
pub(crate) fn version_info(
    ctx: &Context,
    name: &ModelName,
    version: &VersionSelector,
) -> Result<SharedModelInfo> {
    let status = ctx.catalog.model(name)?;
    let found = match version {
        VersionSelector::Latest => status.latest(),
        VersionSelector::Named(text) => status.version(text).filter(|known| is_ready(known)),
    };
    match found.and_then(|known| known.info.clone()) {
        Some(info) => Ok(info),
        // A label, or the reason for a missing version.
        None => Ok(route(ctx, name, version)?.info),
    }
}

/// Routes to the version that `name` and `version` select, as if there were no split.
fn route(ctx: &Context, name: &ModelName, version: &VersionSelector) -> Result<Route> {
    ctx.infer.route(&Target {
        model: Some(name.clone()),
        version: version.clone(),
    })
}

/// Returns the reason why a known model or version accepts no requests; `None` when it does.
///
/// # Errors
/// `model_not_found`, `version_not_found`.
pub(crate) fn not_ready_reason(
    ctx: &Context,
    name: &ModelName,
    version: &VersionSelector,
) -> Result<Option<String>> {
    let status = ctx.catalog.model(name)?;
    let text = match version {
        VersionSelector::Latest => return Ok(status.not_ready_reason()),
        VersionSelector::Named(text) => text,
    };
    match status.version(text) {
        Some(known) if is_ready(known) => Ok(None),
        Some(known) if known.reason.is_empty() => Ok(Some(format!(
            "version {text} is not at ready state: it is {}",
            known.state.as_str()
        ))),
        Some(known) => Ok(Some(known.reason.clone())),
        None => match route(ctx, name, version) {
            Ok(_) => Ok(None),
            Err(error) if error.code() == Code::ModelNotReady => Ok(Some(error.to_string())),
            Err(error) => Err(error),
        },
    }
}

fn ready_versions(status: &ModelStatus) -> Vec<String> {
    status
        .versions
        .iter()
        .filter(|known| is_ready(known))
        .map(|known| known.version.to_string())
        .collect()
}

fn is_ready(version: &VersionStatus) -> bool {
    version.state == VersionState::Ready
}
