//! All output of the binary on standard output and standard error.
//!
//! Rule for commands: the output is their purpose. When the reader closes the pipe, the command
//! ends silently with success, as ripgrep does; any other write error is an error. Rule for
//! servers: the output is a by-product. It goes through bounded queues to its own threads, and is
//! dropped when it cannot be written, so that it never stops, delays or ends the server.

mod queue;

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub(crate) use queue::LineQueue;

/// The longest wait for unwritten lines at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A failure to write to standard output.
#[derive(Debug)]
pub(crate) struct OutputError(io::Error);

impl Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl Error for OutputError {}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

/// Prints a line of a command's output.
///
/// # Errors
/// When standard output is closed or full; [`exit_code`] distinguishes the two.
pub(crate) fn line(text: impl Display) -> Result<(), OutputError> {
    self::text(format_args!("{text}\n"))
}

/// Prints text of a command's output without a newline.
///
/// # Errors
/// Those of [`line()`].
pub(crate) fn text(text: impl Display) -> Result<(), OutputError> {
    let mut output = io::stdout().lock();
    write!(output, "{text}")?;
    Ok(output.flush()?)
}

/// Writes a note of a command to standard error, and ignores failures.
pub(crate) fn note(text: impl Display) {
    let written = writeln!(io::stderr(), "{text}");
    drop(written);
}

/// Reports the error that ends the process, and returns its exit code.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let output_error = error.downcast_ref::<OutputError>();
    if output_error.is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // A server ends here too, so no write may block without a limit.
    if let Ok(stderr) = LineQueue::start("stderr", io::stderr()) {
        stderr.push(format!("error: {error:#}\n").as_bytes());
        stderr.flush(FLUSH_LIMIT);
    }
    ExitCode::FAILURE
}

/// Prints the requested help, or the mistake in the flags, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match (printed, error.use_stderr()) {
        (Err(failure), false) => exit_code(&OutputError(failure).into()),
        (Ok(()), false) => ExitCode::SUCCESS,
        (Ok(()) | Err(_), true) => ExitCode::from(USAGE),
    }
}

/// The exit code for wrong flags, the same as clap's.
const USAGE: u8 = 2;

/// Standard output and standard error of a server. Dropping it flushes both, for a bounded time.
#[derive(Debug)]
pub(crate) struct ServerOutput {
    stdout: LineQueue,
    stderr: LineQueue,
}

impl ServerOutput {
    /// Starts a thread for each of the two.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            stdout: LineQueue::start("stdout", io::stdout())?,
            stderr: LineQueue::start("log", io::stderr())?,
        })
    }

    /// Prints a line on standard output.
    pub(crate) fn announce(&self, text: impl Display) {
        self.stdout.push(format!("{text}\n").as_bytes());
    }

    /// Returns the queue of the log.
    pub(crate) fn log(&self) -> LineQueue {
        self.stderr.clone()
    }

    /// Returns the live counter of log lines that could not be written.
    pub(crate) fn dropped_log_lines(&self) -> Arc<AtomicU64> {
        self.stderr.n_dropped()
    }
}

impl Drop for ServerOutput {
    fn drop(&mut self) {
        self.stdout.flush(FLUSH_LIMIT);
        self.stderr.flush(FLUSH_LIMIT);
    }
}
