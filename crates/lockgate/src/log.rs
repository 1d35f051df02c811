//! The log of a server: text or JSON on standard error, which the server never waits for.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::output::ServerOutput;

/// Starts the output of a server, and logging for the rest of the process.
///
/// # Errors
/// When the filter of `log_level` is invalid, or a thread cannot be started.
pub(crate) fn start(config: &Config) -> anyhow::Result<ServerOutput> {
    let output = ServerOutput::start().context("cannot start the threads of the log")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .log_internal_errors(false)
        .with_writer(output.log());
    let is_terminal = io::stderr().is_terminal();
    match config.log_format {
        LogFormat::Human => log.with_ansi(is_terminal).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    log_panics();
    for name in &config.unknown_variables {
        tracing::warn!(
            name,
            "environment variable is not a setting; see `lockgate config`"
        );
    }
    Ok(output)
}

fn filter(config: &Config) -> anyhow::Result<EnvFilter> {
    // Access lines have the level `info`. The user's directives come last and win.
    let access = match config.is_access_log_enabled {
        true => "",
        false => ",access=off",
    };
    let directives = format!("ort=warn{access},{}", config.log_level);
    EnvFilter::try_new(&directives).context("`log_level`")
}

/// Sends the messages of panics to the log, because the default hook writes to standard error
/// directly, and would block when it is not read.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let payload = panic.payload_as_str().unwrap_or("no message");
        let backtrace = Backtrace::capture();
        let backtrace =
            (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(location, payload, backtrace, "thread panicked");
    }));
}
