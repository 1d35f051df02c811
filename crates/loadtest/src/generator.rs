//! Generators: clients that send one request again and again, and time the replies.
//!
//! Decision: each thread of a closed loop has a `current_thread` runtime with its own connections
//! and counts, which are added up at the end, so that threads share nothing while they measure. A
//! request is encoded once and replies are barely read, so that a generator takes as little as
//! possible of the cores that it shares with the server.

pub mod closed_loop;
mod error;
pub mod grpc;
pub mod http;
pub mod open_loop;
mod tally;

pub use error::{Error, Result};
pub use tally::Tally;

#[cfg(test)]
mod tests;
