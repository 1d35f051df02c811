//! Formats the documents about rollouts as text.

mod evidence;

use api::rollout::{ArmStatus, GateStatus, GuardQueryStatus, RolloutState, Status, Transition};
use jiff::{Timestamp, Unit};

use crate::commands::table::table;

pub(super) use evidence::evidence;

/// The width of a bar for all of the traffic.
const BAR_WIDTH: usize = 24;

/// Formats the status of a rollout.
pub(super) fn status(status: &Status) -> String {
    let mut lines = vec![headline(status)];
    lines.extend(status.arms.iter().map(arm));
    let missing = status.missing.iter();
    lines.extend(missing.map(|missing| format!("missing: {missing}")));
    lines.extend(status.gate.iter().map(gate));
    lines.extend(status.guard_queries.iter().map(guard_query));
    let warnings = status.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

pub(super) fn headline(status: &Status) -> String {
    let since = age(&status.since).map_or(String::new(), |age| format!(" for {age}"));
    format!(
        "{} of {}: {}{since}\nverdict {}, generation {}",
        status.id,
        status.model,
        state(status),
        status.verdict,
        status.generation,
    )
}

/// Formats the state with the step and the reason, such as `step 2 of 3 (20 %)` or
/// `held in step 2 of 3 (20 %): operator`.
fn state(status: &Status) -> String {
    let name = status.state;
    let step = status.step.filter(|_| status.n_steps > 0);
    let step = step.map(|step| {
        let (number, n_steps, weight) = (step + 1, status.n_steps, percent(status.weight));
        format!("step {number} of {n_steps} ({weight})")
    });
    let state = match (name, step) {
        (RolloutState::Step, Some(step)) => step,
        (_, Some(step)) => format!("{name} in {step}"),
        (_, None) => name.to_string(),
    };
    match &status.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state,
    }
}

fn arm(arm: &ArmStatus) -> String {
    format!(
        "{:<9} {:>6}  {} {}",
        arm.name,
        arm.version,
        bar(arm.weight),
        percent(arm.weight)
    )
}

/// Formats the gate that is asked, with its last answer.
fn gate(gate: &GateStatus) -> String {
    let age = gate.asked_at.as_deref().and_then(age);
    let asked = age.map_or(String::new(), |age| format!(", asked {age} ago"));
    let answer = match &gate.last_answer {
        Some(answer) => format!("last answer: {answer}"),
        None => "no answer yet".to_owned(),
    };
    format!("gate: {}{asked}, {answer}", gate.name)
}

fn guard_query(guard: &GuardQueryStatus) -> String {
    let answer = guard.last_answer.as_deref().unwrap_or("no answer yet");
    format!("guard: prometheus `{}`: {answer}", guard.name)
}

/// Formats a table with one line for each rollout.
pub(super) fn list(rollouts: &[Status]) -> String {
    let mut rows = table(&["rollout", "model", "state", "weight", "verdict", "for"]);
    for status in rollouts {
        rows.add_row([
            status.id.clone(),
            status.model.clone(),
            state(status),
            percent(status.weight),
            status.verdict.to_string(),
            age(&status.since).unwrap_or_default(),
        ]);
    }
    rows.to_string()
}

/// Formats a table of transitions, in the given order.
pub(super) fn transitions(transitions: &[Transition]) -> String {
    let mut rows = table(&["at", "from", "to", "reason", "actor"]);
    for made in transitions {
        rows.add_row([
            &to_the_second(&made.at),
            made.from.as_str(),
            &state_after(made),
            &made.reason,
            &made.actor,
        ]);
    }
    rows.to_string()
}

/// Formats one transition as a line.
pub(super) fn transition(made: &Transition) -> String {
    let Transition {
        at,
        from,
        reason,
        actor,
        ..
    } = made;
    let (at, to) = (to_the_second(at), state_after(made));
    format!("{at}  {from} -> {to}: {reason} ({actor})")
}

/// Formats the state after a transition, such as `step 2 of 3` or `held in step 2 of 3`.
fn state_after(made: &Transition) -> String {
    let step = made
        .step
        .map(|step| format!("step {} of {}", step + 1, made.n_steps));
    match (made.to, step) {
        (RolloutState::Step, Some(step)) => step,
        (to, Some(step)) => format!("{to} in {step}"),
        (to, None) => to.to_string(),
    }
}

/// Cuts the fraction of a timestamp; another text stays as it is.
fn to_the_second(timestamp: &str) -> String {
    let parsed = timestamp.parse::<Timestamp>();
    parsed.map_or_else(|_| timestamp.to_owned(), |time| format!("{time:.0}"))
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
