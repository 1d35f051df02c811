//! `lockgate rollout`: what a rollout would do.

mod simulate;

use anyhow::Result;

use crate::command_line::{RolloutArguments, RolloutCommand};

/// Runs a sub-command about rollouts.
///
/// # Errors
/// What is wrong with the file or the flags.
pub(crate) fn run(arguments: &RolloutArguments) -> Result<()> {
    match &arguments.command {
        RolloutCommand::Simulate(arguments) => simulate::run(arguments),
    }
}
