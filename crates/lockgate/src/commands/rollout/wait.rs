//! `lockgate rollout wait`: waits until a rollout reaches a state, for scripts.
//!
//! Rule: it polls once a second, so that a restart of the server only delays it. A permanent error
//! of the server ends it at once; a temporary one does not, once the server has answered. Its
//! result is the exit code, so it goes on when its output is closed or full.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use api::rollout::{RolloutState, Status};
use client::{Client, runtime};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::path;
use crate::command_line::WaitArguments;
use crate::commands::reply::read;
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
    let (outcome, last) = runtime()?.block_on(wait(&client, arguments, is_json))?;
    if is_json {
        print(format_args!("{last:#}"));
    }
    if outcome == Outcome::NotInTime {
        output::note(format_args!(
            "`{}` did not reach `{}` within {:?}; it is in `{}`",
            arguments.rollout,
            arguments.target_state,
            arguments.timeout.0,
            read::<Status>(&last)?.state
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
    let mut reply = client.get(&path).await?;
    let mut current: Status = read(&reply)?;
    print_status(&current, is_json);
    loop {
        if let Some(outcome) = outcome(current.state, arguments.target_state) {
            return Ok((outcome, reply));
        }
        let next = async {
            sleep(INTERVAL).await;
            client.get(&path).await
        };
        match timeout_at(end, next).await {
            Err(_) => return Ok((Outcome::NotInTime, reply)),
            Ok(Err(error)) if error.is_retryable() => {}
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(next)) => {
                reply = next;
                let status: Status = read(&reply)?;
                let has_moved = status.generation != current.generation;
                current = status;
                if has_moved {
                    print_status(&current, is_json);
                }
            }
        }
    }
}

fn print_status(status: &Status, is_json: bool) {
    if !is_json {
        print(super::show::headline(status));
    }
}

/// Prints a line, and ignores a closed output.
fn print(text: impl Display) {
    drop(output::line(text));
}

/// Returns the outcome of waiting for `target_state`, if it has ended.
fn outcome(state: RolloutState, target_state: RolloutState) -> Option<Outcome> {
    // A completed rollout passed through these states.
    let is_passed = matches!(target_state, RolloutState::Step | RolloutState::Soak);
    if state == target_state || (state == RolloutState::Completed && is_passed) {
        return Some(Outcome::Reached);
    }
    if state == RolloutState::RolledBack {
        return Some(Outcome::RolledBack);
    }
    state.is_final().then_some(Outcome::EndedOtherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_exit_code() {
        use RolloutState::{Aborted, Completed, Failed, Held, RolledBack, Soak, Step};
        let rows = [
            (Step, Completed, None),
            (Held, Completed, None),
            (Completed, Completed, Some(0)),
            (Completed, Soak, Some(0)),
            (Completed, Held, Some(5)),
            (RolledBack, Completed, Some(3)),
            (RolledBack, RolledBack, Some(0)),
            (Aborted, Completed, Some(5)),
            (Failed, Soak, Some(5)),
            (Held, Held, Some(0)),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(state, target_state, code)| {
                outcome(*state, *target_state).map(Outcome::code) != *code
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
