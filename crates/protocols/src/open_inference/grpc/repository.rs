//! Repository control for the messages of both services.

use std::collections::BTreeMap;

use contract::{Error, ModelName, Parameter, Result};

use super::generated::inference::model_repository_parameter::ParameterChoice;
use super::generated::inference::repository_index_response::ModelIndex;
use super::generated::inference::{
    ModelRepositoryParameter, RepositoryIndexRequest, RepositoryIndexResponse,
};
use crate::context::Context;
use crate::open_inference::repository::{
    Action, ControlParameter, IndexRow, control, index, named_repository,
};

/// A load or unload request.
#[derive(Debug)]
pub(super) struct ControlRequest {
    pub(super) action: Action,
    pub(super) repository_name: String,
    pub(super) model_name: String,
    pub(super) parameters: BTreeMap<String, ModelRepositoryParameter>,
}

/// Returns the index, one row per version.
pub(super) fn list(ctx: &Context, request: &RepositoryIndexRequest) -> RepositoryIndexResponse {
    let row = |row: IndexRow| ModelIndex {
        name: row.name,
        version: row.version.unwrap_or_default(),
        state: row.state.to_owned(),
        reason: row.reason,
    };
    RepositoryIndexResponse {
        models: index(ctx, request.ready).into_iter().map(row).collect(),
    }
}

/// Applies `request` and returns the name of the model.
pub(super) async fn apply(ctx: &Context, request: ControlRequest) -> Result<String> {
    let name = model_name(&request.repository_name, &request.model_name)?;
    let mut parameters = Vec::with_capacity(request.parameters.len());
    for (key, value) in &request.parameters {
        parameters.push((key.as_str(), parameter(key, value)?));
    }
    control(ctx, request.action, &name, parameters).await?;
    Ok(name.to_string())
}

/// Returns the model name. KServe's messages have the model in the field where Triton's have the
/// repository.
fn model_name(repository: &str, model: &str) -> Result<ModelName> {
    match (repository, model) {
        (repository, "") => ModelName::new(repository),
        ("", model) => ModelName::new(model),
        (repository, _) => Err(named_repository(repository)),
    }
}

fn parameter(key: &str, value: &ModelRepositoryParameter) -> Result<ControlParameter> {
    let plain = match &value.parameter_choice {
        Some(ParameterChoice::BoolParam(value)) => Parameter::Bool(*value),
        Some(ParameterChoice::Int64Param(value)) => Parameter::Int(*value),
        Some(ParameterChoice::StringParam(value)) => Parameter::Text(value.clone()),
        Some(ParameterChoice::BytesParam(_)) => return Ok(ControlParameter::Bytes),
        None => {
            return Err(Error::invalid(format!(
                "parameter `{key}` has no value; set one of its fields"
            )));
        }
    };
    Ok(ControlParameter::Plain(plain))
}
