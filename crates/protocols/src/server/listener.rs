//! The accept loop, and the drain.
//!
//! Rule: some connections over the limit are accepted for a moment each: health, metrics and
//! operators are answered, and all others learn at once by 503 what a full backlog would hide. A
//! drain has two phases: first replies of HTTP/1.1 carry `connection: close` while new connections
//! are still accepted; then the listener closes, every connection answers the requests that it
//! received, and those open at the deadline are dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use super::Endpoint;
use super::connection::{GRACE, ListenerShared, http, serve as serve_connection};
use super::guard::Peer;
use super::options::ServeOptions;
use crate::phase::{ListenerPhase, Phase};

/// Connections that the kernel completes in advance, so that a burst is not refused.
const BACKLOG: u32 = 1024;

/// Connections over the limit that are served for a moment; others are just closed.
const RESERVED_CONNECTIONS: usize = 64;

/// The pause after a failed accept, until resources such as file descriptors are free.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A running listener. Dropping the handle drops its connections.
#[derive(Debug)]
pub struct ListenerHandle {
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    deadline: watch::Sender<Option<Instant>>,
    acceptor: JoinHandle<usize>,
}

/// Binds `addr`, whose port may be 0, and serves `router` until the handle closes it.
///
/// # Errors
/// The error of the system, with the address.
pub fn serve(
    addr: SocketAddr,
    endpoint: impl Into<Endpoint>,
    options: ServeOptions,
) -> io::Result<ListenerHandle> {
    let listener = bind(addr).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on `{addr}`: {error}"))
    })?;
    let addr = listener.local_addr()?;
    let (phase, phase_rx) = watch::channel(Phase::Serving);
    let (deadline, deadline_rx) = watch::channel(None);
    let acceptor = Acceptor {
        listener,
        shared: Arc::new(ListenerShared {
            http: http(&options),
            endpoint: endpoint.into(),
            options,
        }),
        connections: JoinSet::new(),
        reserved: JoinSet::new(),
        phase: phase_rx,
        deadline: deadline_rx,
    };
    Ok(ListenerHandle {
        addr,
        phase,
        deadline,
        acceptor: tokio::spawn(acceptor.run()),
    })
}

impl ListenerHandle {
    /// Returns the address in use, with the port that the system chose.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Starts the first phase of the drain: everything is answered, and HTTP/1.1 clients are asked
    /// to connect elsewhere next time.
    pub fn begin_drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Runs the second phase of the drain: stops accepting, lets every connection answer what it
    /// received, and drops those that are open after `grace`. Returns how many were dropped.
    pub async fn close(mut self, grace: Duration) -> usize {
        self.deadline.send_replace(Some(Instant::now() + grace));
        self.phase.send_replace(Phase::Closing);
        (&mut self.acceptor).await.unwrap_or_default()
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

struct Acceptor {
    listener: TcpListener,
    shared: Arc<ListenerShared>,
    connections: JoinSet<()>,
    /// The connections over the limit.
    reserved: JoinSet<()>,
    phase: watch::Receiver<Phase>,
    deadline: watch::Receiver<Option<Instant>>,
}

impl Acceptor {
    /// Accepts until the listener closes; returns the number of dropped connections.
    async fn run(mut self) -> usize {
        let mut phase = ListenerPhase(self.phase.clone());
        tokio::select! {
            biased;
            () = phase.closing() => {}
            () = self.accept() => {}
        }
        // Connections that were complete before the drain began are accepted, too.
        let _settled = timeout(GRACE, self.accept()).await;
        self.close().await
    }

    async fn accept(&mut self) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, addr)) => self.spawn_connection(stream, addr),
                    Err(error) => back_off(&error).await,
                },
                Some(ended) = self.connections.join_next() => log_panic(ended.err().as_ref()),
                Some(ended) = self.reserved.join_next() => log_panic(ended.err().as_ref()),
            }
        }
    }

    fn spawn_connection(&mut self, stream: TcpStream, addr: SocketAddr) {
        let is_reserved = self.connections.len() >= self.shared.options.max_connections;
        if is_reserved && self.reserved.len() >= RESERVED_CONNECTIONS {
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %addr, %error, "accepted connection was already closed");
            return;
        }
        let (shared, phase) = (Arc::clone(&self.shared), self.phase.clone());
        let peer = Peer { addr };
        let serving = serve_connection(stream, peer, shared, phase, is_reserved);
        match is_reserved {
            true => self.reserved.spawn(serving),
            false => self.connections.spawn(serving),
        };
    }

    async fn close(self) -> usize {
        let Self {
            listener,
            mut connections,
            deadline,
            ..
        } = self;
        drop(listener);
        let deadline = deadline.borrow().unwrap_or_else(Instant::now);
        while let Ok(Some(ended)) = timeout_at(deadline, connections.join_next()).await {
            log_panic(ended.err().as_ref());
        }
        let n_aborted = connections.len();
        connections.shutdown().await;
        n_aborted
    }
}

fn log_panic(error: Option<&tokio::task::JoinError>) {
    if let Some(error) = error {
        tracing::error!(%error, "connection task failed");
    }
}

/// Pauses after a failed accept. A connection that was reset before it was accepted does not affect
/// the next one; any other error, such as no free file descriptor, would spin.
async fn back_off(error: &io::Error) {
    let is_about_one = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    if !is_about_one {
        tracing::warn!(%error, "failed to accept connection; retrying");
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }
}
