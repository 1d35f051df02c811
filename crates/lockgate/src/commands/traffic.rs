//! `lockgate traffic`: shows and changes the traffic split of a model.

mod assign;
mod results;

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, path_segment};
use crate::command_line::{ArmArgument, RuleArguments, TrafficArguments, TrafficCommand};
use crate::commands::table::table;
use crate::output;

/// Runs a sub-command.
///
/// # Errors
/// When the server cannot be reached or refuses, or the arguments are invalid.
pub(crate) fn run(arguments: &TrafficArguments) -> Result<()> {
    let (method, model, body) = match &arguments.command {
        TrafficCommand::Show { model } => (Method::GET, model, None),
        TrafficCommand::Clear { model } => (Method::DELETE, model, None),
        TrafficCommand::Set {
            model,
            arms,
            rule,
            unit,
            fallback,
            override_header,
            bandit,
        } => {
            let mut body = body(arms, rule);
            body.insert("unit".to_owned(), unit_body(unit, fallback)?);
            if let Some(header) = override_header {
                body.insert("override".to_owned(), json!({ "header": header }));
            }
            if *bandit {
                body.insert("bandit".to_owned(), json!(true));
            }
            (Method::PUT, model, Some(Value::Object(body)))
        }
        TrafficCommand::Assign { arms, rule, units } => {
            return assign::run(arms, rule, units, arguments.server.json);
        }
    };
    let client = Client::new(&arguments.server.url)?;
    let path = format!("/api/models/{}/traffic", path_segment(model));
    let answer = client.call(method, &path, body.as_ref())?;
    match arguments.server.json {
        true => output::line(format_args!("{answer:#}"))?,
        false => show_routing(&answer)?,
    }
    Ok(())
}

fn body(arms: &[ArmArgument], rule: &RuleArguments) -> Map<String, Value> {
    let arms = arms
        .iter()
        .map(|arm| json!({"version": arm.version, "weight": arm.weight, "name": arm.name}));
    let mut body = Map::new();
    body.insert("split".to_owned(), arms.collect());
    body.insert("hash".to_owned(), json!(rule.hash));
    if let Some(salt) = &rule.salt {
        body.insert("salt".to_owned(), json!(salt));
    }
    if let Some(coverage) = rule.coverage {
        body.insert("coverage".to_owned(), json!(coverage));
    }
    body
}

/// Parses a unit: `user_id`, `header:x-user-id`, `cookie:sid` or `random`.
fn unit_body(unit: &str, fallback: &str) -> Result<Value> {
    let (from, name) = match unit.split_once(':') {
        None if unit == "random" => return Ok(json!("random")),
        None => ("json", unit),
        Some((from @ ("json" | "header" | "cookie" | "grpc"), name)) => (from, name),
        Some((from, _)) => {
            bail!("expected a unit in `json`, `header`, `cookie` or `grpc`, got `{from}`")
        }
    };
    Ok(json!({"from": from, "name": name, "fallback": fallback}))
}

/// Prints the routing rules of a model as text.
pub(super) fn show_routing(answer: &Value) -> Result<()> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("none");
    output::line(format_args!("model {}", text("model")))?;
    match answer.get("pinned").and_then(Value::as_str) {
        Some(pinned) => output::line(format_args!("version {pinned} is pinned"))?,
        None => output::line(format_args!(
            "version {} answers by default",
            text("default")
        ))?,
    }
    for (label, version) in answer
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        output::line(format_args!(
            "label {label} is on version {}",
            version.as_str().unwrap_or_default()
        ))?;
    }
    match answer.get("traffic").filter(|traffic| !traffic.is_null()) {
        Some(traffic) => {
            show_split(traffic, answer.get("results"))?;
            results::show(answer)?;
        }
        None => output::line("no split")?,
    }
    match answer.get("requests_without_unit").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(count) => output::line(format_args!(
            "{count} requests had no unit where the split looks for it"
        ))?,
    }
    Ok(())
}

fn show_split(traffic: &Value, results: Option<&Value>) -> Result<()> {
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let unit = traffic.get("unit").map_or(String::new(), |unit| {
        format!("{} {}", text(unit, "from"), text(unit, "name"))
    });
    output::line(format_args!(
        "split by {}, unit {}",
        text(traffic, "hash"),
        unit.trim_end()
    ))?;
    if let Some(bandit) = traffic.get("bandit") {
        output::line(format_args!(
            "the weights follow the rewards every {}",
            text(bandit, "period")
        ))?;
    }
    let header = [
        "arm", "version", "weight", "units", "requests", "errors", "p50 ms", "p99 ms", "reward",
        "feedback",
    ];
    let mut rows = table(&header);
    for arm in traffic
        .get("split")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let results = results.and_then(Value::as_array).into_iter().flatten();
        let result = results
            .clone()
            .find(|result| result.get("arm") == arm.get("name"));
        // The weight in force, which a bandit changes.
        let weight = text(result.unwrap_or(arm), "weight");
        let mut row = vec![text(arm, "name"), text(arm, "version"), weight];
        if let Some(result) = result {
            row.extend(["units", "requests", "errors"].map(|key| text(result, key)));
            let latency = result.get("latency_ms").unwrap_or(&Value::Null);
            row.extend(["p50", "p99"].map(|key| text(latency, key)));
            row.extend(results::reward(result));
        }
        rows.add_row(row);
    }
    output::line(rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_they_are_typed() {
        let header = json!({"from": "header", "name": "x-user-id", "fallback": "stable"});
        assert_eq!(unit_body("header:x-user-id", "stable").unwrap(), header);
        let key = json!({"from": "json", "name": "user.id", "fallback": "random"});
        assert_eq!(unit_body("user.id", "random").unwrap(), key);
        assert_eq!(unit_body("random", "random").unwrap(), json!("random"));
        let error = unit_body("air:x", "random").unwrap_err().to_string();
        assert!(error.contains("`air`"), "{error}");
    }
}
