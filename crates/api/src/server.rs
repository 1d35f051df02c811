//! The state of the server: its routes, its health and its readiness.

use std::collections::BTreeMap;

use contract::ModelStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The main routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Index {
    /// `lockgate`.
    pub name: String,
    /// The version of the server.
    pub version: String,
    /// The version of the simple JSON API.
    pub api_version: String,
    /// `alive`; probes of the KServe protocol, version 1, look for this key.
    pub status: String,
    /// A path.
    pub predict: String,
    /// A path.
    pub models: String,
    /// A path.
    pub health: String,
    /// A path.
    pub metrics: String,
    /// A path.
    pub open_inference: String,
    /// A path.
    pub openapi: String,
    /// A path.
    pub docs: String,
}

/// The health of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The health.
    pub status: HealthStatus,
    /// The reason when it is not healthy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Conditions that an operator should know of, such as a state store that cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// True when any model is ready.
    pub model_loaded: bool,
    /// The version of the only model; `null` when there are several, each with its own.
    #[schema(required)]
    pub model_version: Option<String>,
    /// True when a GPU can be used.
    pub gpu_available: bool,
    /// The models by name.
    pub models: BTreeMap<String, ModelHealth>,
}

/// The health of the server in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// The server is ready.
    Healthy,
    /// The server is not ready.
    Unhealthy,
}

/// The health of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelHealth {
    /// True when a version is ready.
    pub ready: bool,
    /// The latest ready version.
    #[schema(required)]
    pub model_version: Option<String>,
    /// The reason when no version is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

impl From<&ModelStatus> for ModelHealth {
    fn from(model: &ModelStatus) -> Self {
        let latest = model.latest();
        Self {
            ready: latest.is_some(),
            model_version: latest.map(|status| status.version.to_string()),
            reason: model.problem(),
        }
    }
}

/// The process serves HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always true.
    pub live: bool,
}

/// The readiness of the server or of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// The model of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub model: Option<String>,
    /// True when it accepts requests.
    pub ready: bool,
    /// The latest ready version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub model_version: Option<String>,
    /// The reason when it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
