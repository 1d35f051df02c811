//! The binary: flags, configuration, wiring, sub-commands.
//!
//! Decision: nothing here knows how to serve. `config` says what to do, `wiring` builds the parts
//! and connects them, and each sub-command is one file.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks"
)]

mod command_line;
mod commands;
mod config;
mod log;
mod machine;
mod onnxruntime;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use command_line::CommandLine;

fn main() -> ExitCode {
    engines::onnx::disable_telemetry();
    let command_line = CommandLine::parse();
    match commands::run(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
