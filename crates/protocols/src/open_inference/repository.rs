//! The repository: its index, and loading and unloading models.
//!
//! Decision: content in a load request is refused. A file in the request would let everyone who may
//! load a model run arbitrary code.

use contract::{
    Change, Code, Error, ModelName, ModelStatus, Parameter, Result, Version, VersionState,
};

use crate::context::Context;

/// The parameter that limits a load or unload to one version of the model.
const VERSION: &str = "lockgate.version";

/// The actor of loads and unloads in the history.
const ACTOR: &str = "api";

/// One row of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexRow {
    /// The model.
    pub(crate) name: String,
    /// The version; `None` when the model has none.
    pub(crate) version: Option<String>,
    /// Its state, such as `READY`.
    pub(crate) state: &'static str,
    /// The reason when it is not ready; empty otherwise.
    pub(crate) reason: String,
}

/// Returns every version of every model, or only those that are ready.
pub(crate) fn index(ctx: &Context, is_ready_only: bool) -> Vec<IndexRow> {
    let mut rows: Vec<_> = ctx.catalog.models().iter().flat_map(model_rows).collect();
    if is_ready_only {
        rows.retain(|row| row.state == VersionState::Ready.as_str());
    }
    rows
}

fn model_rows(model: &ModelStatus) -> Vec<IndexRow> {
    if model.versions.is_empty() {
        return vec![IndexRow {
            name: model.name.to_string(),
            version: None,
            state: VersionState::Unavailable.as_str(),
            reason: model.not_ready_reason().unwrap_or_default(),
        }];
    }
    let row = |version: &contract::VersionStatus| IndexRow {
        name: model.name.to_string(),
        version: Some(version.version.to_string()),
        state: version.state.as_str(),
        reason: version.reason.clone(),
    };
    model.versions.iter().map(row).collect()
}

/// The value of a load or unload parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ControlParameter {
    /// A value that REST has, too.
    Plain(Parameter),
    /// Bytes, which only gRPC has.
    Bytes,
}

/// A change of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reads its folder again and loads it.
    Load,
    /// Unloads it.
    Unload,
}

/// Loads or unloads `name`, or the one version that a parameter names; a load returns when the
/// model is ready.
///
/// # Errors
/// `invalid_request` unless model control is on, `unsupported` for content in the parameters,
/// `model_not_found`, and the reason why a model did not load.
pub(crate) async fn control<'a>(
    ctx: &Context,
    action: Action,
    name: &ModelName,
    parameters: impl IntoIterator<Item = (&'a str, ControlParameter)>,
) -> Result<()> {
    ctx.check_control()?;
    let mut version = None;
    for (key, value) in parameters {
        match key {
            VERSION => version = Some(read_version(&value)?),
            key => check_parameter(action, key, &value)?,
        }
    }
    match (action, version) {
        (Action::Load, None) => ctx.lifecycle.load(name).await,
        (Action::Unload, None) => ctx.lifecycle.unload(name).await,
        (Action::Load, Some(version)) => change(ctx, name, Change::Load(version)).await,
        (Action::Unload, Some(version)) => change(ctx, name, Change::Unload(version)).await,
    }
}

async fn change(ctx: &Context, name: &ModelName, change: Change) -> Result<()> {
    ctx.traffic.change(name, change, ACTOR).await.map(|_| ())
}

fn read_version(value: &ControlParameter) -> Result<Version> {
    match value {
        ControlParameter::Plain(Parameter::Text(text)) => Version::new(text),
        ControlParameter::Plain(Parameter::Int(number)) => Version::new(&number.to_string()),
        ControlParameter::Plain(_) | ControlParameter::Bytes => Err(Error::invalid(format!(
            "parameter `{VERSION}`: expected a version"
        ))),
    }
}

/// Returns the refusal of load and unload in a repository that the caller names.
pub(crate) fn named_repository(repository: &str) -> Error {
    Error::new(
        Code::Unsupported,
        format!(
            "loading and unloading in a named repository is not supported; leave `{repository}` out"
        ),
    )
}

fn check_parameter(action: Action, key: &str, value: &ControlParameter) -> Result<()> {
    match (action, key) {
        (Action::Load, "config") => Err(unsupported(
            "a model configuration in the load request is not supported; change the model's folder",
        )),
        (Action::Load, key) if key.starts_with("file:") => Err(unsupported(
            "model files in the load request are not supported; change the model's folder",
        )),
        // No model uses another one, so there are no dependents either way.
        (Action::Unload, "unload_dependents") => match value {
            ControlParameter::Plain(Parameter::Bool(_)) => Ok(()),
            ControlParameter::Plain(_) | ControlParameter::Bytes => Err(Error::invalid(
                "parameter `unload_dependents`: expected `true` or `false`",
            )),
        },
        (Action::Load | Action::Unload, key) => Err(Error::invalid(format!(
            "parameter `{key}` is unknown to this call"
        ))),
    }
}

fn unsupported(message: &'static str) -> Error {
    Error::new(Code::Unsupported, message)
}
