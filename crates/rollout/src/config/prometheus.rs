//! Query of Prometheus whose value must be within limits, for a gate or a guard.
//!
//! Decision: placeholders are filled in when the query is sent and not when the file is read, so
//! that the file stays as its author wrote it.

use std::time::Duration;

use serde::Deserialize;

use super::RolloutConfig;

/// Query of Prometheus with the limits of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusQuery {
    /// The name in reports.
    pub name: String,
    /// The address of Prometheus, without `/api/v1/query`.
    pub url: String,
    /// The query, with placeholders such as `{{candidate}}`.
    pub query: String,
    /// The least acceptable value.
    pub min: Option<f64>,
    /// The largest acceptable value.
    pub max: Option<f64>,
    /// The time for which the value must be within the limits before a gate opens.
    pub required_for: Duration,
    /// The time between two queries.
    pub interval: Duration,
    /// The maximum time of one query.
    pub timeout: Duration,
    /// The meaning of a query without a value.
    pub on_no_data: OnNoData,
    /// The number of values in a row outside the limits that roll back; `None` never does.
    pub failure_limit: Option<u32>,
}

/// The meaning of a query without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoData {
    /// Not known yet.
    #[default]
    Wait,
    /// The same as a value outside the limits.
    Fail,
}

/// A placeholder that a query cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `{{{{model}}}}`, `{{{{stable}}}}`, `{{{{candidate}}}}` or `{{{{rollout}}}}`, got `{{{{{0}`"
)]
pub(super) struct UnknownPlaceholder(String);

impl PrometheusQuery {
    /// Returns the query with the names of the rollout in place of its placeholders.
    #[must_use]
    pub fn filled_in(&self, config: &RolloutConfig) -> String {
        let name = |placeholder: &str| {
            let name = match placeholder {
                "model" => config.model.to_string(),
                "stable" => config.stable.to_string(),
                "candidate" => config.candidate.to_string(),
                "rollout" => config.id.clone(),
                _ => return None,
            };
            // A placeholder is a part of a quoted text.
            Some(name.replace('"', "\\\""))
        };
        // The placeholders were checked when the file was read.
        fill_in(&self.query, name).unwrap_or_else(|_| self.query.clone())
    }

    /// Returns why a value is not acceptable; `None` when it is.
    #[must_use]
    pub fn breach(&self, value: f64) -> Option<String> {
        match (self.min, self.max) {
            (Some(min), _) if value < min => Some(format!("{value} is below `min: {min}`")),
            (_, Some(max)) if value > max => Some(format!("{value} is above `max: {max}`")),
            (_, _) => None,
        }
    }
}

/// Checks the placeholders of a query.
///
/// # Errors
/// [`UnknownPlaceholder`] with the first one that is not known.
pub(super) fn check_placeholders(query: &str) -> Result<(), UnknownPlaceholder> {
    let is_known = |name: &str| matches!(name, "model" | "stable" | "candidate" | "rollout");
    fill_in(query, |name| is_known(name).then(String::new)).map(drop)
}

fn fill_in(
    query: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<String, UnknownPlaceholder> {
    let mut parts = query.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part
            .split_once("}}")
            .ok_or_else(|| UnknownPlaceholder(part.to_owned()))?;
        let value = value(name.trim()).ok_or_else(|| UnknownPlaceholder(format!("{name}}}}}")))?;
        text.push_str(&value);
        text.push_str(rest);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_get_the_names_of_the_rollout() {
        let text = r#"rollout: {id: digits-2, model: 'a"b', stable: 1, candidate: 2, guards: {
            prometheus: [{url: "http://p", max: 1, query:
            'm{model="{{model}}",v=~"{{ stable }}|{{candidate}}",r="{{rollout}}"}'}]}}"#;
        let config = RolloutConfig::parse(text).unwrap();
        let expected = r#"m{model="a\"b",v=~"1|2",r="digits-2"}"#;
        assert_eq!(config.guard_queries[0].filled_in(&config), expected);
    }

    #[test]
    fn unknown_placeholders_are_refused_and_other_braces_are_not() {
        assert_eq!(check_placeholders(r#"up{job="a"} > {{model}}"#), Ok(()));
        for (query, got) in [("{{versoin}}", "`{{versoin}}`"), ("{{model", "`{{model`")] {
            let refused = check_placeholders(query).unwrap_err().to_string();
            assert!(refused.ends_with(got), "{refused}");
        }
    }
}
