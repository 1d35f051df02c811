//! Formats the documents about rollouts as text.
//!
//! Decision: the documents are read without a schema, and a missing key is shown as an empty cell,
//! so that this command works with older and newer servers.

mod evidence;

use jiff::{Timestamp, Unit};
use serde_json::Value;

use crate::commands::table::table;

pub(super) use evidence::evidence;

/// The width of a bar for all of the traffic.
const BAR_WIDTH: usize = 24;

/// Formats the status of a rollout.
pub(super) fn status(status: &Value) -> String {
    let mut lines = vec![headline(status)];
    lines.extend(items(status, "arms").map(arm));
    lines.extend(items(status, "missing").map(|missing| format!("missing: {}", plain(missing))));
    lines.join("\n")
}

pub(super) fn headline(status: &Value) -> String {
    let state = text(status, "state");
    let reason = match status.get("reason").and_then(Value::as_str) {
        Some(reason) => format!("{state} ({reason})"),
        None => state.to_owned(),
    };
    let since = age(text(status, "since")).map_or(String::new(), |age| format!(" for {age}"));
    format!(
        "{} of {}: {reason}{since}, verdict {}, generation {}",
        text(status, "id"),
        text(status, "model"),
        text(status, "verdict"),
        plain(status.get("generation").unwrap_or(&Value::Null)),
    )
}

fn arm(arm: &Value) -> String {
    let weight = arm.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
    format!(
        "{:<9} {:>6}  {} {}",
        text(arm, "name"),
        text(arm, "version"),
        bar(weight),
        percent(weight)
    )
}

/// Formats a table with one line for each rollout.
pub(super) fn list(rollouts: &Value) -> String {
    let header = [
        "rollout", "model", "state", "weight", "verdict", "since", "reason",
    ];
    let mut rows = table(&header);
    for status in rollouts.as_array().into_iter().flatten() {
        let weight = status.get("weight").and_then(Value::as_f64);
        rows.add_row([
            text(status, "id"),
            text(status, "model"),
            text(status, "state"),
            &weight.map_or(String::new(), percent),
            text(status, "verdict"),
            text(status, "since"),
            text(status, "reason"),
        ]);
    }
    rows.to_string()
}

/// Formats a table of transitions, in the given order.
pub(super) fn transitions(transitions: &Value) -> String {
    let mut rows = table(&["at", "from", "to", "reason", "actor"]);
    for transition in transitions.as_array().into_iter().flatten() {
        rows.add_row(["at", "from", "to", "reason", "actor"].map(|key| text(transition, key)));
    }
    rows.to_string()
}

/// Formats one transition as a line.
pub(super) fn transition(transition: &Value) -> String {
    let [at, from, to, reason, actor] =
        ["at", "from", "to", "reason", "actor"].map(|key| text(transition, key));
    format!("{at}  {from} -> {to}: {reason} ({actor})")
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    let items = value.get(key).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Formats a value without quotes.
fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// Draws a bar of whole and half blocks, with dots for the rest.
fn bar(share: f64) -> String {
    let halves = (share.clamp(0.0, 1.0) * 2.0 * BAR_WIDTH as f64).round();
    let mut bar = String::new();
    for block in 0..BAR_WIDTH {
        let filled = halves - 2.0 * block as f64;
        bar.push(if filled >= 2.0 {
            '█'
        } else if filled >= 1.0 {
            '▌'
        } else {
            '·'
        });
    }
    bar
}

/// Formats a percentage with at most two decimals.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Formats the time since a timestamp, to the second; `None` when it is invalid or in the future.
fn age(timestamp: &str) -> Option<String> {
    let timestamp: Timestamp = timestamp.parse().ok()?;
    let seconds = Timestamp::now().since(timestamp).ok()?.total(Unit::Second);
    let seconds = seconds.ok().filter(|seconds| *seconds >= 0.0)?;
    Some(match seconds {
        seconds if seconds < 60.0 => format!("{seconds:.0} s"),
        seconds if seconds < 3600.0 => {
            let minutes = (seconds / 60.0).floor();
            format!("{minutes} min {:02.0} s", (seconds % 60.0).floor())
        }
        seconds => {
            let hours = (seconds / 3600.0).floor();
            format!("{hours} h {:02.0} min", (seconds % 3600.0 / 60.0).floor())
        }
    })
}

#[cfg(test)]
mod tests;
