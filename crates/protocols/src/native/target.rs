//! The model and version of a call, from its path, query and body.
//!
//! Rule: values from several of them must agree, so that none silently wins over another.

use contract::{Error, ModelName, Result, Target, VersionSelector};

use crate::rest::Call;

/// Returns the target of a call, given the model and version of its body.
pub(super) fn target(call: &Call, model: Option<&str>, version: Option<&str>) -> Result<Target> {
    let query_model = call.query_parameter("model");
    let query_version = call
        .query_parameter("model_version")
        .or_else(|| call.query_parameter("version"));
    let model = consistent_value(
        "model",
        [call.path_parameter("model"), query_model.as_deref(), model],
    )?;
    let version = consistent_value(
        "model_version",
        [
            call.path_parameter("version"),
            query_version.as_deref(),
            version,
        ],
    )?;
    Ok(Target {
        model: model.map(ModelName::new).transpose()?,
        version: VersionSelector::parse(version),
    })
}

/// Returns the one value of path, query and body; `None` when all lack it.
fn consistent_value<'a>(what: &str, values: [Option<&'a str>; 3]) -> Result<Option<&'a str>> {
    let mut values = values.into_iter().flatten();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    match values.find(|other| *other != first) {
        None => Ok(Some(first)),
        Some(other) => Err(Error::invalid(format!(
            "`{what}` is both `{first}` and `{other}`; path, query and body must agree"
        ))),
    }
}
