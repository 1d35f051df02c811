//! The sub-commands, one file each.

mod compare;
mod connect;
mod demo;
mod doctor;
mod models;
mod reply;
mod rollout;
mod runtime;
mod serve;
mod settings;
mod table;
mod traffic;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use crate::command_line::{Command, CommandLine};
use crate::config::Environment;
use crate::output;

/// Runs the sub-command of a command line; returns the exit code.
///
/// # Errors
/// The failure of the sub-command, with the next step where it is known.
pub(crate) fn run(command_line: CommandLine) -> Result<ExitCode> {
    let environment = Environment::read();
    match command_line.command {
        Command::Serve(arguments) => serve::run(arguments, &environment),
        Command::Demo(arguments) => demo::run(arguments, &environment),
        Command::Config(arguments) => settings::print(&arguments, &environment),
        Command::Doctor(arguments) => doctor::run(&arguments, &environment),
        Command::Models(arguments) => models::run(&arguments, &environment),
        Command::Traffic(arguments) => traffic::run(&arguments, &environment),
        Command::Compare(arguments) => compare::run(&arguments, &environment),
        Command::Rollout(arguments) => return rollout::run(&arguments, &environment),
        Command::Runtime(arguments) => runtime::run(arguments, &environment),
        Command::Completions { shell } => {
            let mut command = CommandLine::command();
            // Write to memory first: the generator panics when its writer fails.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "lockgate", &mut script);
            output::text(String::from_utf8_lossy(&script)).map_err(Into::into)
        }
    }?;
    Ok(ExitCode::SUCCESS)
}
