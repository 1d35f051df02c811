//! The termination of a run: its reason, and the error of its requests.

use std::time::Duration;

use contract::{Code, Error};

use crate::admission::deadline_exceeded;

/// The reason why a run was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Termination {
    /// The deadlines of all its requests had passed.
    Deadline,
    /// It took longer than any run of the version may.
    Limit,
    /// The server is shutting down.
    Shutdown,
}

impl Termination {
    /// Returns the label in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Returns the error of requests whose run was terminated. A lost engine keeps its error.
pub(super) fn terminated(termination: Termination, limit: Duration, error: &Error) -> Error {
    if error.code() == Code::EngineLost {
        return error.clone();
    }
    match termination {
        Termination::Deadline => deadline_exceeded(),
        Termination::Shutdown => Error::new(Code::Unavailable, "the server is shutting down"),
        Termination::Limit => Error::new(
            Code::EngineFailed,
            format!(
                "the run was ended after {} ms, its time limit (`run_timeout_ms`)",
                limit.as_millis()
            ),
        ),
    }
}
