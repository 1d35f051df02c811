//! The limits of a listener.

use std::time::Duration;

use crate::context::Limits;

/// Longer than the idle time of common proxies, which would otherwise meet closed connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The time in which the head of a request must arrive.
    pub header_timeout: Duration,
    /// The time for which an idle connection stays open.
    pub idle_timeout: Duration,
    /// Headers of one request.
    pub max_headers: usize,
    /// Concurrent connections.
    pub max_connections: usize,
}

/// The time for each step of a connection over the limit.
const MOMENT: Duration = Duration::from_secs(1);

impl ServeOptions {
    /// Returns the options of a connection over the limit, which others wait for.
    pub(super) fn for_a_moment(&self) -> Self {
        Self {
            header_timeout: self.header_timeout.min(MOMENT),
            idle_timeout: self.idle_timeout.min(MOMENT),
            ..self.clone()
        }
    }
}

impl From<&Limits> for ServeOptions {
    fn from(limits: &Limits) -> Self {
        Self {
            header_timeout: limits.header_timeout,
            idle_timeout: IDLE_TIMEOUT,
            max_headers: limits.headers,
            max_connections: limits.connections,
        }
    }
}
