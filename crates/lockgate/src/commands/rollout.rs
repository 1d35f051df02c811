//! `lockgate rollout`: trying out, starting, following and moving rollouts.

mod actions;
mod show;
mod simulate;
mod wait;
mod watch;

use std::process::ExitCode;

use anyhow::Result;

use crate::client::{Client, path_segment};
use crate::command_line::{RolloutArguments, RolloutCommand};

/// Runs a sub-command about rollouts; gives how the process ends.
///
/// # Errors
/// What is wrong with the file or the flags, or what the server says.
pub(crate) fn run(arguments: &RolloutArguments) -> Result<ExitCode> {
    let is_json = arguments.server.json;
    let client = Client::new(&arguments.server.url)?;
    match &arguments.command {
        RolloutCommand::Simulate(arguments) => simulate::run(arguments, is_json)?,
        RolloutCommand::Watch { rollout } => watch::run(&client, rollout, is_json)?,
        RolloutCommand::Wait(arguments) => return wait::run(client, arguments, is_json),
        RolloutCommand::Start { .. }
        | RolloutCommand::List
        | RolloutCommand::Status { .. }
        | RolloutCommand::Evidence { .. }
        | RolloutCommand::Transitions { .. }
        | RolloutCommand::Promote(_)
        | RolloutCommand::Hold(_)
        | RolloutCommand::Resume(_)
        | RolloutCommand::Rollback(_)
        | RolloutCommand::Abort(_) => actions::run(&client, &arguments.command, is_json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of a rollout, and what comes after it.
fn path(rollout: &str, rest: &str) -> String {
    format!("/api/rollouts/{}{rest}", path_segment(rollout))
}

/// Whether nothing happens any more in a state.
fn is_end(state: &str) -> bool {
    ["completed", "rolled_back", "aborted", "failed"].contains(&state)
}
