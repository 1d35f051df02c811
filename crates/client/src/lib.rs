//! HTTP client of the command line and webhooks.
//!
//! Decision: one connection for each call, plain or with TLS, with the HTTP library that the server
//! uses anyway. Calls are seconds or minutes apart, and an idle connection would have to be
//! watched. Redirects are not followed: data goes only to the address that the user wrote.

mod address;
mod connection;
mod error;
mod events;
mod server;
mod tls;

pub use address::Address;
pub use connection::{get, post};
pub use error::{Error, Result};
pub use events::{Event, Events};
pub use hyper::{Method, Uri};
pub use server::{Client, path_segment, runtime};
pub use tls::TlsConnector;
