//! Gates of a rollout file.
//!
//! Decision: a key that has no meaning for the type of its gate is an error, because its author
//! expected an effect.

use super::{DEFAULT_CALL_TIMEOUT, duration, error, prometheus, required};
use crate::config::file::{GateFile, GateKindFile};
use crate::config::{ConfigError, Gate, GateKind, GatePosition, Strategy};

/// Builds the gates. An A/B test always has a manual one, because an operator chooses the winner.
pub(super) fn resolve(
    strategy: Strategy,
    files: Vec<GateFile>,
    steps: &[f64],
) -> Result<Vec<Gate>, ConfigError> {
    let all = files.into_iter().enumerate();
    let gates = all.map(|(index, file)| gate(&format!("rollout.gates[{index}]"), file, steps));
    let mut gates: Vec<_> = gates.collect::<Result<_, _>>()?;
    let winner = Gate {
        before: GatePosition::Promote,
        kind: GateKind::Manual,
    };
    if strategy == Strategy::Ab && !gates.contains(&winner) {
        gates.push(winner);
    }
    Ok(gates)
}

fn gate(key: &str, file: GateFile, steps: &[f64]) -> Result<Gate, ConfigError> {
    let before = gate_position(&file.before, steps).ok_or_else(|| {
        error(
            format!("{key}.before"),
            expected_positions(&file.before, steps),
        )
    })?;
    refuse_unrelated_keys(key, &file)?;
    let kind = match file.kind {
        GateKindFile::Manual => GateKind::Manual,
        GateKindFile::Webhook => GateKind::Webhook {
            url: required(&format!("{key}.url"), file.url)?,
            timeout: duration(
                &format!("{key}.timeout"),
                file.timeout,
                DEFAULT_CALL_TIMEOUT,
            )?,
        },
        GateKindFile::Prometheus => GateKind::Prometheus(prometheus::gate(key, file)?),
    };
    Ok(Gate { before, kind })
}

/// Rejects keys that have no meaning for the type of the gate.
fn refuse_unrelated_keys(key: &str, file: &GateFile) -> Result<(), ConfigError> {
    use GateKindFile::{Prometheus, Webhook};
    const CALLS: (&[GateKindFile], &str) = (&[Webhook, Prometheus], "`webhook` or `prometheus`");
    const QUERIES: (&[GateKindFile], &str) = (&[Prometheus], "`prometheus`");
    let keys = [
        ("url", file.url.is_some(), CALLS),
        ("timeout", file.timeout.is_some(), CALLS),
        ("name", file.name.is_some(), QUERIES),
        ("query", file.query.is_some(), QUERIES),
        ("min", file.min.is_some(), QUERIES),
        ("max", file.max.is_some(), QUERIES),
        ("for", file.required_for.is_some(), QUERIES),
        ("interval", file.interval.is_some(), QUERIES),
        ("on_no_data", file.on_no_data.is_some(), QUERIES),
        ("failure_limit", file.failure_limit.is_some(), QUERIES),
    ];
    for (name, is_given, (kinds, of)) in keys {
        if is_given && !kinds.contains(&file.kind) {
            let message = format!("is only for a gate of type {of}");
            return Err(error(format!("{key}.{name}"), message));
        }
    }
    Ok(())
}

fn gate_position(text: &str, steps: &[f64]) -> Option<GatePosition> {
    if text == "promote" {
        return Some(GatePosition::Promote);
    }
    let percent: f64 = text.strip_prefix("step_")?.parse().ok()?;
    let is_it = |step: &f64| (step * 100.0 - percent).abs() < 1e-9;
    steps.iter().position(is_it).map(GatePosition::Step)
}

fn expected_positions(text: &str, steps: &[f64]) -> String {
    // A hundred times a fraction has digits of rounding that the user did not write.
    let percents = steps.iter().map(|step| (step * 1e8).round() / 1e6);
    let names: Vec<_> = percents
        .map(|percent| format!("`step_{percent}`, "))
        .collect();
    let got = text.escape_debug();
    format!("expected one of {}`promote`, got `{got}`", names.concat())
}
