//! Development tasks of the repository: `cargo xtask test` runs every check that CI runs.
//!
//! Decision: no shipped crate depends on this one, so it may be slow and print.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks"
)]

mod bench;
mod codegen;
mod debian;
mod fuzz;
mod process;
mod python;
mod steps;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Development tasks of the Lockgate repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run every check: format, clippy, tidy, documentation and all tests. CI runs this.
    Test {
        /// Only the steps whose name contains this, such as `clippy` or `tests`.
        #[arg(long)]
        only: Option<String>,
    },
    /// Check the rules of the conventions that clippy does not check.
    Tidy {
        /// Print the gate numbers: sizes of files and functions, share of tests, waivers.
        #[arg(long)]
        report: bool,
    },
    /// Generate the Rust code of the gRPC messages from `proto/`.
    Codegen {
        /// Write nothing, and fail when the committed code is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Install what the end-to-end tests need: a Python environment and ONNX Runtime.
    Prepare,
    /// Measure the release build against its alternatives.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Feed every decoder with made-up requests. Needs a nightly toolchain and cargo-fuzz.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only this target.
        #[arg(long)]
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the folder of xtask has no parent")?;
    match &arguments.chore {
        Chore::Test { only } => steps::run(root, only.as_deref()),
        Chore::Tidy { report } => tidy::run(root, *report),
        Chore::Codegen { check } => codegen::run(root, *check),
        Chore::Prepare => steps::prepare(root),
        Chore::Bench { bench } => bench::run(root, bench),
        Chore::Fuzz { seconds, target } => fuzz::run(root, target.as_deref(), *seconds),
    }
}
