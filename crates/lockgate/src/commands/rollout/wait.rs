//! `lockgate rollout wait`: waits until a rollout reaches a state, for scripts.
//!
//! Rule: it polls once a second, so that a restart of the server only delays it. A permanent error
//! of the server ends it at once; a temporary one does not, once the server has answered. Its
//! result is the exit code, so it goes on when its output is closed or full.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use client::{Client, runtime};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{is_end, path};
use crate::command_line::WaitArguments;
use crate::output;

/// The interval between two polls.
const INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Outcome of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Reached,
    RolledBack,
    NotInTime,
    EndedOtherwise,
}

impl Outcome {
    /// Returns the exit code; 1 and 2 are taken by failures and by wrong flags.
    fn code(self) -> u8 {
        match self {
            Self::Reached => 0,
            Self::RolledBack => 3,
            Self::NotInTime => 4,
            Self::EndedOtherwise => 5,
        }
    }
}

/// Waits, and prints every change on the way.
///
/// # Errors
/// When the server does not know the rollout, or does not answer at the beginning.
pub(super) fn run(client: Client, arguments: &WaitArguments, is_json: bool) -> Result<ExitCode> {
    let client = client.with_timeout(TIMEOUT);
    let (outcome, status) = runtime()?.block_on(wait(&client, arguments, is_json))?;
    if is_json {
        print(format_args!("{status:#}"));
    }
    if outcome == Outcome::NotInTime {
        output::note(format_args!(
            "`{}` did not reach `{}` within {:?}; it is in `{}`",
            arguments.rollout,
            arguments.target_state,
            arguments.timeout.0,
            text(&status, "state")
        ));
    }
    Ok(ExitCode::from(outcome.code()))
}

async fn wait(
    client: &Client,
    arguments: &WaitArguments,
    is_json: bool,
) -> Result<(Outcome, Value)> {
    let end = Instant::now() + arguments.timeout.0;
    let path = path(&arguments.rollout, "");
    let mut current = client.get(&path).await?;
    print_status(&current, is_json);
    loop {
        if let Some(outcome) = outcome(text(&current, "state"), &arguments.target_state) {
            return Ok((outcome, current));
        }
        let next = async {
            sleep(INTERVAL).await;
            client.get(&path).await
        };
        match timeout_at(end, next).await {
            Err(_) => return Ok((Outcome::NotInTime, current)),
            Ok(Err(error)) if error.is_retryable() => {}
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(status)) => {
                let has_moved = status.get("generation") != current.get("generation");
                current = status;
                if has_moved {
                    print_status(&current, is_json);
                }
            }
        }
    }
}

fn print_status(status: &Value, is_json: bool) {
    if !is_json {
        print(super::show::headline(status));
    }
}

/// Prints a line, and ignores a closed output.
fn print(text: impl Display) {
    drop(output::line(text));
}

/// Returns the outcome of waiting for `target_state`, if it has ended.
fn outcome(state: &str, target_state: &str) -> Option<Outcome> {
    if state == target_state {
        return Some(Outcome::Reached);
    }
    match state {
        // It passed through this state.
        "completed" if ["step", "soak"].contains(&target_state) => Some(Outcome::Reached),
        "rolled_back" => Some(Outcome::RolledBack),
        state => is_end(state).then_some(Outcome::EndedOtherwise),
    }
}

fn text<'a>(status: &'a Value, key: &str) -> &'a str {
    status.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_exit_code() {
        let rows = [
            ("step", "completed", None),
            ("held", "completed", None),
            ("completed", "completed", Some(0)),
            ("completed", "soak", Some(0)),
            ("completed", "held", Some(5)),
            ("rolled_back", "completed", Some(3)),
            ("rolled_back", "rolled_back", Some(0)),
            ("aborted", "completed", Some(5)),
            ("failed", "soak", Some(5)),
            ("held", "held", Some(0)),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(state, target_state, code)| {
                outcome(state, target_state).map(Outcome::code) != *code
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
