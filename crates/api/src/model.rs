//! Descriptions of models, versions and tensors.

mod scheduling;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use contract::{ModelInfo, ModelName, ModelStatus, TensorSpec, VersionStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Ref;

pub use scheduling::{Execution, RunCost, Scheduling};
pub use settings::{
    ImageChannels, ImageLayout, ImageResize, ImageSettings, ModelSettings, SessionMode,
};

/// All models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// The models with their versions.
    pub models: Vec<Model>,
}

/// A model with its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// The name of the model.
    pub name: String,
    /// True when a version is ready.
    pub ready: bool,
    /// The version that answers when none is named.
    #[schema(required)]
    pub latest: Option<String>,
    /// The reason when no version is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Conditions that an operator should know of, such as a rollout file without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The pinned version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pinned: Option<String>,
    /// Versions by label; a label is usable wherever a version is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The versions, ascending.
    pub versions: Vec<ModelVersion>,
}

/// One version; the fields from `framework` on only in detailed replies, once it was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelVersion {
    /// The model, when no outer object names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The version.
    pub version: String,
    /// The state of the version.
    pub state: VersionState,
    /// The reason for its state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Accepted and not answered yet.
    pub requests_in_flight: usize,
    /// The framework that made the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub framework: Option<String>,
    /// The engine and format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub platform: Option<String>,
    /// The description in the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// The modification time of the model file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub created_at: Option<String>,
    /// The inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub inputs: Option<Vec<ModelTensor>>,
    /// The outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outputs: Option<Vec<ModelTensor>>,
    /// The names of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub labels: Option<Vec<String>>,
    /// The model settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub settings: Option<ModelSettings>,
    /// The metadata of the model file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Measurements of runs, and the limits that follow from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scheduling: Option<Scheduling>,
}

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// It is being opened, checked and warmed up.
    Loading,
    /// It serves.
    Ready,
    /// It answers accepted requests and refuses new ones.
    Unloading,
    /// It does not serve.
    Unavailable,
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelTensor {
    /// The name of the tensor.
    pub name: String,
    /// The element type.
    #[schema(schema_with = data_type)]
    pub datatype: String,
    /// The size of each dimension, -1 for any size.
    pub shape: Vec<i64>,
    /// True when a request may leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The version that answers when none is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ModelInfo)]
pub struct Info {
    /// The name of the model.
    pub model_name: String,
    /// The version.
    pub version: String,
    /// The framework that made the model.
    pub framework: String,
    /// The shape of the only input, or the shapes of several by name.
    pub input_shape: Shapes,
    /// The shape of the only output, or the shapes of several by name.
    pub output_shape: Shapes,
    /// The modification time of the model file.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The inputs.
    pub inputs: Vec<ModelTensor>,
    /// The outputs.
    pub outputs: Vec<ModelTensor>,
}

/// One shape by itself, several by name; -1 is any size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Shapes {
    /// Of the only tensor.
    Only(Vec<i64>),
    /// By name.
    Named(BTreeMap<String, Vec<i64>>),
}

fn data_type() -> Ref {
    Ref::from_schema_name("DataType")
}

impl Model {
    /// Returns the versions and their states.
    #[must_use]
    pub fn summary(model: &ModelStatus) -> Self {
        Self::new(model, ModelVersion::summary)
    }

    /// Returns all details.
    #[must_use]
    pub fn detail(model: &ModelStatus) -> Self {
        Self::new(model, |status| ModelVersion::detail(None, status))
    }

    fn new(model: &ModelStatus, version: impl Fn(&VersionStatus) -> ModelVersion) -> Self {
        let latest = model.latest();
        let labels = model.routing.labels.iter();
        Self {
            name: model.name.to_string(),
            ready: latest.is_some(),
            latest: latest.map(|status| status.version.to_string()),
            reason: model.problem(),
            warnings: model.warnings.clone(),
            pinned: model.routing.pinned.as_ref().map(ToString::to_string),
            labels: labels
                .map(|(label, version)| (label.clone(), version.to_string()))
                .collect(),
            versions: model.versions.iter().map(version).collect(),
        }
    }
}

impl ModelVersion {
    /// Returns all details, with the name of the model when no outer object names it.
    #[must_use]
    pub fn detail(name: Option<&ModelName>, status: &VersionStatus) -> Self {
        let version = Self {
            name: name.map(ToString::to_string),
            scheduling: status.scheduling.as_ref().map(Into::into),
            ..Self::summary(status)
        };
        match &status.info {
            None => version,
            Some(info) => version.with_info(info),
        }
    }

    fn with_info(self, info: &ModelInfo) -> Self {
        Self {
            framework: Some(info.framework.clone()),
            platform: Some(info.platform.clone()),
            description: Some(info.description.clone()).filter(|text| !text.is_empty()),
            created_at: Some(time_text(info.created_at)),
            inputs: Some(tensors(&info.signature.inputs)),
            outputs: Some(tensors(&info.signature.outputs)),
            labels: Some(info.labels.clone()),
            settings: Some(ModelSettings::from(info)),
            metadata: Some(info.metadata.clone()),
            ..self
        }
    }

    fn summary(status: &VersionStatus) -> Self {
        Self {
            name: None,
            version: status.version.to_string(),
            state: status.state.into(),
            reason: status.reason.clone(),
            requests_in_flight: status.n_in_flight,
            framework: None,
            platform: None,
            description: None,
            created_at: None,
            inputs: None,
            outputs: None,
            labels: None,
            settings: None,
            metadata: None,
            scheduling: None,
        }
    }
}

impl From<contract::VersionState> for VersionState {
    fn from(state: contract::VersionState) -> Self {
        match state {
            contract::VersionState::Loading => Self::Loading,
            contract::VersionState::Ready => Self::Ready,
            contract::VersionState::Unloading => Self::Unloading,
            contract::VersionState::Unavailable => Self::Unavailable,
        }
    }
}

impl From<&ModelInfo> for Info {
    fn from(info: &ModelInfo) -> Self {
        Self {
            model_name: info.model.to_string(),
            version: info.version.to_string(),
            framework: info.framework.clone(),
            input_shape: shapes(&info.signature.inputs),
            output_shape: shapes(&info.signature.outputs),
            created_at: time_text(info.created_at),
            inputs: tensors(&info.signature.inputs),
            outputs: tensors(&info.signature.outputs),
        }
    }
}

fn tensors(specs: &[TensorSpec]) -> Vec<ModelTensor> {
    let tensor = |spec: &TensorSpec| ModelTensor {
        name: spec.name.clone(),
        datatype: spec.element_type.name().to_owned(),
        shape: spec.wire_shape(),
        optional: spec.is_optional,
    };
    specs.iter().map(tensor).collect()
}

fn shapes(specs: &[TensorSpec]) -> Shapes {
    match specs {
        [only] => Shapes::Only(only.wire_shape()),
        several => {
            let shapes = several.iter();
            Shapes::Named(
                shapes
                    .map(|spec| (spec.name.clone(), spec.wire_shape()))
                    .collect(),
            )
        }
    }
}

/// Formats a time in RFC 3339, to the second. A file system cannot give one that a timestamp cannot
/// hold.
#[must_use]
pub fn time_text(time: SystemTime) -> String {
    format!("{:.0}", Timestamp::try_from(time).unwrap_or_default())
}
