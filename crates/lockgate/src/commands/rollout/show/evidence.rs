//! Formats the evidence of a rollout: every number with its limit.

use serde_json::Value;

use super::{items, percent, plain, text};
use crate::commands::table::table;

/// Formats all numbers with their limits.
pub(in super::super) fn evidence(evidence: &Value) -> String {
    let mut rows = table(&[
        "metric",
        "stable",
        "candidate",
        "worse, since start",
        "since step",
        "not worse",
        "verdict",
    ]);
    for metric in items(evidence, "metrics") {
        rows.add_row([
            name(metric),
            arm(metric, "stable"),
            arm(metric, "candidate"),
            score(evidence, metric, "ln_worse_start"),
            score(evidence, metric, "ln_worse_step"),
            not_worse(metric),
            text(metric, "verdict").to_owned(),
        ]);
    }
    rows.add_row([
        "together".to_owned(),
        String::new(),
        String::new(),
        combined(evidence, "ln_start", "ln_worse_start"),
        combined(evidence, "ln_step", "ln_worse_step"),
        String::new(),
        String::new(),
    ]);
    let mut lines = vec![rows.to_string()];
    lines.extend(
        pair(evidence, "/srm/ln_e", "/srm/limit").map(|pair| format!("split: ln E {pair}")),
    );
    lines.extend(
        pair(evidence, "/soak/ln_d", "/soak/limit").map(|pair| format!("soak: ln D {pair}")),
    );
    lines.extend(shadow(evidence));
    let guards: Vec<_> = items(evidence, "guards").map(guard).collect();
    if !guards.is_empty() {
        lines.push(format!("guards: {}", guards.join(", ")));
    }
    lines.join("\n")
}

/// Returns the name of a metric, with its action unless that is `block`.
fn name(metric: &Value) -> String {
    let name = text(metric, "name");
    match text(metric, "action") {
        "" | "block" => name.to_owned(),
        action => format!("{name} ({action})"),
    }
}

/// Formats the rate of an arm, such as `0.5 % of 9000`, with the interval below.
fn arm(metric: &Value, arm: &str) -> String {
    let Some(arm) = metric.pointer(&format!("/arms/{arm}")) else {
        return String::new();
    };
    let n = arm.get("n").map(plain).unwrap_or_default();
    let Some(value) = arm.get("value").and_then(Value::as_f64) else {
        return format!("none of {n}");
    };
    // Without events the value is a mean, not a rate.
    let is_rate = arm.get("events").is_some_and(|events| !events.is_null());
    let shown = match is_rate {
        true => percent(value),
        false => format!("{value:.4}"),
    };
    let ends = ["/ci/0", "/ci/1"].map(|end| arm.pointer(end).and_then(Value::as_f64));
    match ends {
        [Some(lower), Some(upper)] => {
            format!("{shown} of {n}\n{} to {}", percent(lower), percent(upper))
        }
        _ => format!("{shown} of {n}"),
    }
}

/// Formats a score with the limit of the same name.
fn score(evidence: &Value, metric: &Value, key: &str) -> String {
    let Some(score) = number(metric.get(key)) else {
        return String::new();
    };
    match number(evidence.pointer(&format!("/limits/{key}"))) {
        Some(limit) => format!("{score} of {limit}"),
        None => score,
    }
}

/// Formats the evidence for `not_worse`: by ratio, by difference or by distance, each with its
/// limit.
fn not_worse(metric: &Value) -> String {
    let ratio = pair(metric, "/ln_not_worse", "/ln_not_worse_limit");
    let difference = ["/abs/upper", "/abs/lower", "/abs/limit"]
        .map(|path| metric.pointer(path).and_then(Value::as_f64));
    let difference = match difference {
        [Some(upper), Some(lower), Some(limit)] => {
            Some(format!("+{} of {}", percent(upper - lower), percent(limit)))
        }
        _ => None,
    };
    let distance = number(metric.get("distance")).map(|distance| format!("distance {distance}"));
    let all: Vec<_> = [ratio, difference, distance]
        .into_iter()
        .flatten()
        .collect();
    all.join("\n")
}

fn combined(evidence: &Value, key: &str, limit: &str) -> String {
    let (value, limit) = (format!("/combined/{key}"), format!("/limits/{limit}"));
    pair(evidence, &value, &limit).unwrap_or_default()
}

/// Formats a number with its limit, such as `-2.35 of 7.60`.
fn pair(value: &Value, number_path: &str, limit_path: &str) -> Option<String> {
    let value_text = number(value.pointer(number_path))?;
    let limit = number(value.pointer(limit_path))?;
    Some(format!("{value_text} of {limit}"))
}

fn number(value: Option<&Value>) -> Option<String> {
    let value = value?.as_f64()?;
    Some(format!("{value:.2}"))
}

fn shadow(evidence: &Value) -> Option<String> {
    let shadow = evidence.get("shadow")?;
    let count = |key: &str| shadow.get(key).map(plain).unwrap_or_default();
    let dropped = shadow.get("dropped").and_then(Value::as_object);
    let dropped: u64 = dropped
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    Some(format!(
        "shadow requests: {} compared, {} differ, {dropped} dropped",
        count("pairs"),
        count("differ")
    ))
}

fn guard(guard: &Value) -> String {
    let number = |key: &str| guard.get(key).and_then(Value::as_f64).unwrap_or_default();
    format!(
        "{} {} of {}",
        text(guard, "name"),
        number("count"),
        number("limit")
    )
}
