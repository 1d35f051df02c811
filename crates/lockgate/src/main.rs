//! The binary: flags, configuration, wiring, sub-commands.
//!
//! Decision: this crate contains no serving logic. `config` resolves the settings, `wiring` builds
//! the parts and connects them, and each sub-command is one file.

mod command_line;
mod commands;
mod config;
mod descriptors;
mod host;
mod log;
mod onnxruntime;
mod output;
mod store;
mod webhooks;
mod wiring;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use command_line::CommandLine;

/// mimalloc, because the allocator of the C library keeps memory that many threads have freed, and
/// took a seventh of the time of a small request.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    engines::onnx::disable_telemetry();
    match CommandLine::try_parse() {
        Ok(command_line) => {
            commands::run(command_line).unwrap_or_else(|error| output::exit_code(&error))
        }
        Err(error) => output::usage(&error),
    }
}
