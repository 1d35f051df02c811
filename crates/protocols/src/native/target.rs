//! Which model and version a call is for: path, query and body may say it.
//!
//! Rule: what is said twice must agree, so that no place silently wins over another.

use contract::{Error, ModelName, Result, Target, VersionSelector};

use crate::rest::Call;

/// The target of a call, with what its body says.
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

/// The one value of path, query and body; nothing when none says it.
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
