//! Errors of the engine: its own sentences, and those of the runtime.

use contract::{Code, Error};
use ort::Error as RuntimeError;

/// Makes an `engine_failed` error.
pub(super) fn failed(message: String) -> Error {
    Error::new(Code::EngineFailed, message)
}

/// Returns the message of the runtime without its trailing line breaks.
pub(super) fn error_text(error: &RuntimeError) -> String {
    error.message().trim().to_owned()
}
