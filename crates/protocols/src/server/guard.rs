//! The guard of a listener: one decision in front of the fast path, the router and gRPC alike.
//!
//! Rule: a guard sees the head of a call once, before any of its body is read, and allows the call
//! or refuses it with an error. A guard that panics refuses the call.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use contract::{Error, Result};
use http::{HeaderMap, Method, Request, Uri};

use super::dialects::DialectId;

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address of the socket, which may be that of a proxy.
    pub addr: SocketAddr,
}

/// The head of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path and the query; over HTTP/2 also the host.
    pub uri: &'a Uri,
    /// The headers, which are the metadata of a gRPC call.
    pub headers: &'a HeaderMap,
    /// The other side of the connection.
    pub peer: &'a Peer,
    /// The dialect of the path, whether or not the path has a route.
    pub dialect: DialectId,
}

/// A check of every call of a listener, such as authentication.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Allows a call or refuses it. Called once for each call, on the thread of its connection; it
    /// must not block.
    ///
    /// # Errors
    /// The error for the caller, such as `unauthenticated`.
    fn check(&self, call: &CallHead<'_>) -> Result<()>;
}

/// A guard whose panics refuse the call.
#[derive(Clone, Debug)]
pub(super) struct GuardLayer(pub(super) Arc<dyn Guard>);

impl GuardLayer {
    /// Returns the decision of the guard on a request.
    pub(super) fn check<B>(&self, request: &Request<B>, peer: &Peer) -> Result<()> {
        let call = CallHead {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            peer,
            dialect: DialectId::of_path(request.uri().path()),
        };
        let check = AssertUnwindSafe(|| self.0.check(&call));
        panic::catch_unwind(check).unwrap_or_else(|_| Err(Error::internal("guard panicked")))
    }
}

#[cfg(test)]
mod tests;
