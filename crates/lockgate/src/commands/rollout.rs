//! `lockgate rollout`: simulates, starts, watches and controls rollouts.

mod actions;
mod show;
mod simulate;
mod wait;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use client::path_segment;

use crate::command_line::{RolloutArguments, RolloutCommand};
use crate::commands::connect::connect;
use crate::config::Environment;

/// Runs a sub-command about rollouts; returns the exit code.
///
/// # Errors
/// A mistake in the file or the flags, or the error of the server.
pub(crate) fn run(arguments: &RolloutArguments, environment: &Environment) -> Result<ExitCode> {
    let is_json = arguments.server.json;
    let client = || connect(&arguments.server, environment);
    match &arguments.command {
        RolloutCommand::Simulate(arguments) => simulate::run(arguments, is_json)?,
        RolloutCommand::Watch { rollout } => watch::run(&client()?, rollout, is_json)?,
        RolloutCommand::Wait(arguments) => return wait::run(client()?, arguments, is_json),
        RolloutCommand::Start { .. }
        | RolloutCommand::List
        | RolloutCommand::Status { .. }
        | RolloutCommand::Evidence { .. }
        | RolloutCommand::Transitions { .. }
        | RolloutCommand::Promote(_)
        | RolloutCommand::Hold(_)
        | RolloutCommand::Resume(_)
        | RolloutCommand::Rollback(_)
        | RolloutCommand::Abort(_) => actions::run(&client()?, &arguments.command, is_json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the API path of a rollout, followed by `rest`.
fn path(rollout: &str, rest: &str) -> String {
    format!("/api/rollouts/{}{rest}", path_segment(rollout))
}
