//! `lockgate serve`: serve models until a signal comes.

use anyhow::{Context, Result};
use engines::onnx::Runtime;

use crate::command_line::ServeArguments;
use crate::commands::settings;
use crate::config::{Config, Environment};
use crate::output::ServerOutput;
use crate::{log, onnxruntime, wiring};

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// When the settings are wrong, ONNX Runtime is missing, or a port is taken.
pub(crate) fn run(mut arguments: ServeArguments, environment: &Environment) -> Result<()> {
    if !arguments.paths.is_empty() {
        arguments.settings.written.repository = Some(arguments.paths);
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
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.cores.get())
        .enable_all()
        .build()
        .context("cannot start the I/O threads")?
        .block_on(async {
            let running = wiring::start(config, runtime, output).await?;
            running.run(config, output, greeting).await
        })
}
