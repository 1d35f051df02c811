//! Errors of generators.

use std::io;

/// The result of a generator.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The failure of a request, or of a generator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed, or a thread could not be started.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server closed the connection before the end of the reply.
    #[error("server closed the connection")]
    Closed,
    /// The head of the reply could not be parsed.
    #[error("reply is not HTTP/1.1")]
    InvalidReply(#[from] httparse::Error),
    /// The end of the reply cannot be found.
    #[error("reply has no valid `content-length`")]
    UnknownLength,
    /// The server answered with another status than 200.
    #[error("status {status}: {reply}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Head and body.
        reply: String,
    },
    /// The gRPC connection failed.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// The call failed.
    #[error(transparent)]
    Grpc(#[from] tonic::Status),
}
