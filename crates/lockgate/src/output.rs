//! Everything that the binary writes to standard output and standard error.
//!
//! Rule for commands: what they print is their product. A reader that has closed the pipe has what
//! it wanted, so the command ends with success and says nothing, as ripgrep does; a device that
//! takes no more is an error. Rule for servers: what they print is a by-product. It goes through
//! bounded queues to threads of its own, and is dropped when it cannot be written, so that it never
//! stops, delays or ends the server.

mod queue;

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub(crate) use queue::LineQueue;

/// The longest wait at the end of the process for lines that nobody reads.
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

/// Prints a line of what a command is for.
///
/// # Errors
/// When standard output is closed or full; [`exit_code`] tells them apart.
pub(crate) fn line(text: impl Display) -> Result<(), OutputError> {
    self::text(format_args!("{text}\n"))
}

/// Prints a text of what a command is for, as it is.
///
/// # Errors
/// The same as of [`line()`].
pub(crate) fn text(text: impl Display) -> Result<(), OutputError> {
    let mut output = io::stdout().lock();
    write!(output, "{text}")?;
    Ok(output.flush()?)
}

/// Writes a remark of a command to standard error; a remark that cannot be written is none.
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
    // A server ends here too, so nobody may be waited for without a limit.
    if let Ok(stderr) = LineQueue::start("stderr", io::stderr()) {
        stderr.push(format!("error: {error:#}\n").as_bytes());
        stderr.flush(FLUSH_LIMIT);
    }
    ExitCode::FAILURE
}

/// Prints the help that was asked for, or what is wrong with the flags, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match (printed, error.use_stderr()) {
        (Err(failure), false) => exit_code(&OutputError(failure).into()),
        (Ok(()), false) => ExitCode::SUCCESS,
        (Ok(()) | Err(_), true) => ExitCode::from(USAGE),
    }
}

/// The exit code for wrong flags, as clap has it.
const USAGE: u8 = 2;

/// Standard output and standard error of a server. Dropping it writes what is left, for a bounded
/// time.
#[derive(Debug)]
pub(crate) struct ServerOutput {
    stdout: LineQueue,
    stderr: LineQueue,
}

impl ServerOutput {
    /// Starts a thread for each of the two.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            stdout: LineQueue::start("stdout", io::stdout())?,
            stderr: LineQueue::start("log", io::stderr())?,
        })
    }

    /// Prints a line for whoever started the server.
    pub(crate) fn announce(&self, text: impl Display) {
        self.stdout.push(format!("{text}\n").as_bytes());
    }

    /// Returns the queue of the log.
    pub(crate) fn log(&self) -> LineQueue {
        self.stderr.clone()
    }

    /// Returns the number of log lines that could not be written, which goes on counting.
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
