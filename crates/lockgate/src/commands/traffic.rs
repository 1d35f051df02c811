//! `lockgate traffic`: shows and changes the traffic split of a model.

mod assign;
mod results;

use anyhow::{Result, bail};
use api::routing::{ArmReport, Routing};
use api::split::{Bandit, BanditRule, Traffic};
use client::{Method, path_segment};
use contract::UnitSource;
use serde_json::{Map, Value, json};

use crate::command_line::{ArmArgument, RuleArguments, TrafficArguments, TrafficCommand};
use crate::commands::connect::connect;
use crate::commands::reply::read;
use crate::commands::table::table;
use crate::config::Environment;
use crate::output;

/// Runs a sub-command.
///
/// # Errors
/// When the server cannot be reached or refuses, or the arguments are invalid.
pub(crate) fn run(arguments: &TrafficArguments, environment: &Environment) -> Result<()> {
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
    let client = connect(&arguments.server, environment)?;
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
    let routing: Routing = read(answer)?;
    output::line(format_args!("model {}", routing.model))?;
    match &routing.pinned {
        Some(pinned) => output::line(format_args!("version {pinned} is pinned"))?,
        None => output::line(format_args!(
            "version {} answers by default",
            routing.default.as_deref().unwrap_or("none")
        ))?,
    }
    for (label, version) in &routing.labels {
        output::line(format_args!("label {label} is on version {version}"))?;
    }
    match &routing.traffic {
        Some(traffic) => {
            show_split(traffic, &routing.results)?;
            results::show(&routing)?;
        }
        None => output::line("no split")?,
    }
    match routing.requests_without_unit {
        0 => {}
        count => output::line(format_args!(
            "{count} requests had no unit where the split looks for it"
        ))?,
    }
    Ok(())
}

fn show_split(traffic: &Traffic, results: &[ArmReport]) -> Result<()> {
    let split = traffic.clone().into_split()?;
    output::line(format_args!(
        "split by {}, unit {}",
        split.hash.as_str(),
        unit_text(&split.unit.source)
    ))?;
    if let Some(Bandit::Rule(BanditRule {
        period: Some(period),
        ..
    })) = &traffic.bandit
    {
        output::line(format_args!(
            "the weights follow the rewards every {period}"
        ))?;
    }
    let header = [
        "arm", "version", "weight", "units", "requests", "errors", "p50 ms", "p99 ms", "reward",
        "feedback",
    ];
    let mut rows = table(&header);
    for arm in split.arms {
        let result = results.iter().find(|result| result.arm == arm.name);
        // The weight in force, which a bandit changes.
        let weight = result.map_or(arm.weight, |result| result.weight);
        let mut row = vec![arm.name, arm.version, json!(weight).to_string()];
        if let Some(result) = result {
            let counts = [result.units, result.requests, result.errors];
            row.extend(counts.map(|count| count.to_string()));
            let latency = result.latency_ms;
            row.extend([latency.p50, latency.p99].map(|millis| json!(millis).to_string()));
            row.extend(results::reward(result.reward));
        }
        rows.add_row(row);
    }
    output::line(rows)?;
    Ok(())
}

fn unit_text(source: &UnitSource) -> String {
    match source {
        UnitSource::Field(name) => format!("json {name}"),
        UnitSource::Header(name) => format!("header {name}"),
        UnitSource::Cookie(name) => format!("cookie {name}"),
        UnitSource::Random => "random".to_owned(),
    }
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
