//! `lockgate serve`: serves models until a signal arrives.

use std::time::Duration;

use anyhow::{Context, Result};
use engines::onnx::Runtime;

use crate::command_line::ServeArguments;
use crate::commands::settings;
use crate::config::{Config, Environment};
use crate::output::ServerOutput;
use crate::{log, onnxruntime, wiring};

/// The longest time that the exit waits for running threads, such as one that writes to disk.
const END_OF_THREADS: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// When the settings are wrong, ONNX Runtime is missing, or a port is taken.
pub(crate) fn run(mut arguments: ServeArguments, environment: &Environment) -> Result<()> {
    if !arguments.paths.is_empty() {
        arguments.settings.raw.repository = Some(arguments.paths);
    }
    let config = settings::read(&arguments.settings, environment)?;
    let output = log::start(&config)?;
    let runtime = onnxruntime::open(&config, environment)?;
    serve(&config, runtime, &output, |address| {
        format!("http://{address}/docs documents the API")
    })
}

/// Serves with checked settings; `greeting` is printed once all models are ready.
///
/// # Errors
/// When a repository cannot be read or a port is taken.
pub(super) fn serve(
    config: &Config,
    runtime: Runtime,
    output: &ServerOutput,
    greeting: impl FnOnce(std::net::SocketAddr) -> String,
) -> Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.cores.get())
        .enable_all()
        .build()
        .context("cannot start the I/O threads")?;
    let outcome = threads.block_on(async {
        let running = wiring::start(config, runtime, output).await?;
        running.run(config, output, greeting).await
    });
    // Dropping the runtime would wait for a run or a load that never ends.
    threads.shutdown_timeout(match outcome {
        Ok(()) => END_OF_THREADS,
        Err(_) => Duration::ZERO,
    });
    outcome
}
