//! The log: human or JSON, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts logging for the rest of the process.
///
/// # Errors
/// When the filter of `log_level` cannot be read.
pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let access = if config.is_access_log_enabled {
        "info"
    } else {
        "off"
    };
    // What the user names comes last and wins.
    let directives = format!("ort=warn,access={access},{}", config.log_level);
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        anyhow::anyhow!("`log_level` cannot be read: {error}; try `info` or `info,serving=debug`")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    match config.log_format {
        LogFormat::Human => log.with_ansi(is_terminal).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
