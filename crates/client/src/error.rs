//! Errors of calls.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Any cause, shown behind the message.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The failure of a call.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is malformed. The message does not repeat a password.
    #[error("{0}")]
    Address(String),
    /// The connection failed, or broke before the reply.
    #[error("no server answers at `{server}`{hint}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The next step, if there is one.
        hint: &'static str,
        /// The cause.
        source: Cause,
    },
    /// TLS could not be started.
    #[error("TLS handshake with `{server}` failed")]
    Handshake {
        /// Host and port.
        server: String,
        /// The cause.
        source: Cause,
    },
    /// The certificate was signed by an authority that is not trusted.
    #[error("{hint}")]
    UnknownAuthority {
        /// The next step.
        hint: String,
        /// The cause.
        source: io::Error,
    },
    /// No authority is trusted.
    #[error("this system has no certificate authorities; {0}")]
    NoAuthorities(String),
    /// The file of a setting has no readable certificate.
    #[error("`{setting}`: expected certificates as PEM in `{}`", file.display())]
    Certificates {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// The server did not answer in time.
    #[error("server at `{0}` did not answer in time")]
    Timeout(String),
    /// The server refused, in its own words.
    #[error("{message}")]
    Refused {
        /// The message of the server.
        message: String,
        /// True when the same call may succeed later: the server is starting, draining or busy.
        is_retryable: bool,
    },
    /// The reply is not JSON.
    #[error("server at `{server}` is not Lockgate: it answered {status} without JSON")]
    NotLockgate {
        /// The address.
        server: String,
        /// The status of the reply.
        status: hyper::StatusCode,
    },
    /// The body of a reply broke, or is too long.
    #[error("failed to read the reply of `{server}`")]
    Body {
        /// Host and port.
        server: String,
        /// The cause.
        source: Cause,
    },
    /// A stream of events had no data for this long.
    #[error("the server sent nothing for {0:?}")]
    Idle(Duration),
    /// An event is longer than this.
    #[error("an event exceeds {0} bytes")]
    LongEvent(usize),
    /// Data is not an event.
    #[error(transparent)]
    Data(#[from] serde_json::Error),
    /// Data is not text.
    #[error(transparent)]
    Text(#[from] std::string::FromUtf8Error),
    /// The connection broke inside the reply.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    /// The asynchronous runtime could not be started.
    #[error("failed to start the asynchronous runtime")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// Reads the message of a reply, which has one of two shapes.
    pub(crate) fn refused(value: &Value, is_retryable: bool) -> Self {
        let message = value
            .pointer("/error/message")
            .or_else(|| value.get("error"));
        Self::Refused {
            message: match message.and_then(Value::as_str) {
                Some(message) => message.to_owned(),
                None => value.to_string(),
            },
            is_retryable,
        }
    }

    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::Refused {
                is_retryable: false,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_message_of_the_server() {
        let native = serde_json::json!({"error": {"message": "no such model", "code": "c"}});
        let open = serde_json::json!({"error": "no such model"});
        for value in [native, open] {
            let refused = Error::refused(&value, false);
            assert_eq!(refused.to_string(), "no such model");
            assert!(!refused.is_retryable());
        }
        let busy = Error::refused(&serde_json::json!([1]), true);
        assert_eq!(busy.to_string(), "[1]");
        assert!(busy.is_retryable());
    }
}
