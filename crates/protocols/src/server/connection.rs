//! One connection, from accept to close.
//!
//! Rule: hyper drives the bytes; the watchdog reads the activity of the connection and decides, as
//! a pure function, whether it goes on, finishes or is aborted. A head must be complete within the
//! header time-out; a connection on which nothing moves and nothing runs is closed after the idle
//! time-out, and one that cannot send is aborted after it, whatever runs. Pings move nothing: over
//! HTTP/2 only calls count. When the listener closes, a connection
//! finishes only after a moment in which requests that had arrived before are read; an HTTP/2
//! connection finishes when the drain begins, because its peer is told which calls still count.
//! Rejected: the header time-out of hyper, which also counts while a keep-alive connection is idle.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Endpoint;
use super::activity::{Activity, Snapshot, TrackedStream};
use super::guard::Peer;
use super::options::ServeOptions;
use super::service::{ConnectionService, ConnectionState};
use super::stalled_stream::StreamExecutor;
use crate::phase::Phase;

/// Long enough for the kernel and the runtime to hand over requests that had arrived before a
/// drain.
pub(super) const GRACE: Duration = Duration::from_millis(50);

/// The time for a fresh connection to send its first request during a drain.
const FIRST_CALL_GRACE: Duration = Duration::from_secs(1);

/// The time for a finished connection to take its last bytes before it is aborted.
const LINGER: Duration = Duration::from_secs(5);

/// The interval of pings on a healthy HTTP/2 connection.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The time in which an HTTP/2 peer must answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Room for a whole large tensor in transit, per stream and per connection.
const WINDOW_BYTES: u32 = 8 << 20;

/// Large frames keep the cost per frame small for large tensors.
const FRAME_BYTES: u32 = 1 << 20;

/// Concurrent calls on one HTTP/2 connection.
const STREAMS: u32 = 1000;

/// The size of the head of an HTTP/2 request; the default limit of HTTP/1.1.
const HEAD_BYTES: u32 = 64 << 10;

pub(super) type Http = auto::Builder<StreamExecutor>;

/// Returns the settings of hyper for every connection of a listener.
pub(super) fn http(options: &ServeOptions) -> Http {
    let idle_timeout = options.idle_timeout;
    let mut http = Http::new(StreamExecutor { idle_timeout });
    http.http1()
        .header_read_timeout(None)
        .max_headers(options.max_headers);
    http.http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

/// The state shared by the connections of one listener.
#[derive(Debug)]
pub(super) struct ListenerShared {
    pub(super) http: Http,
    pub(super) endpoint: Endpoint,
    pub(super) options: ServeOptions,
}

/// Serves one connection until it ends. The accept loop has done what needs the socket itself.
pub(super) async fn serve<S>(
    stream: S,
    peer: Peer,
    shared: Arc<ListenerShared>,
    mut phase: watch::Receiver<Phase>,
    is_reserved: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let addr = peer.addr;
    let calls = ConnectionService(Arc::new(ConnectionState {
        endpoint: shared.endpoint.clone(),
        peer,
        activity: Arc::clone(&activity),
        phase: phase.clone(),
        is_reserved,
    }));
    let options = match is_reserved {
        true => shared.options.for_a_moment(),
        false => shared.options.clone(),
    };
    let io = TokioIo::new(TrackedStream::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(shared.http.serve_connection(io, calls));
    let mut watch = Watchdog::default();
    let mut wake_at = Instant::now() + options.header_timeout;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %addr, %error, "connection ended with an error");
                }
                return;
            }
            changed = phase.changed(), if watch.closing_since.is_none() => {
                let phase = match changed {
                    Ok(()) => *phase.borrow_and_update(),
                    Err(_) => Phase::Closing,
                };
                watch.enter(phase, Instant::now());
            }
            () = sleep_until(wake_at) => {}
        }
        match watch.next_action(&activity.snapshot(), &options, Instant::now()) {
            ConnectionAction::Wait(until) => wake_at = until,
            ConnectionAction::Finish => {
                watch.finishing_since = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
                wake_at = Instant::now() + LINGER;
            }
            ConnectionAction::Abort(reason) => {
                tracing::debug!(peer = %addr, reason, "aborted connection");
                return;
            }
        }
    }
}

/// The state of the watchdog over one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Watchdog {
    draining_since: Option<Instant>,
    closing_since: Option<Instant>,
    finishing_since: Option<Instant>,
}

/// The next step of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionAction {
    /// Check again at this time.
    Wait(Instant),
    /// Answer the received requests, then close.
    Finish,
    /// Drop it, for this reason.
    Abort(&'static str),
}

impl Watchdog {
    fn enter(&mut self, phase: Phase, now: Instant) {
        match phase {
            Phase::Serving => {}
            Phase::Draining => self.draining_since = Some(now),
            Phase::Closing => self.closing_since = Some(now),
        }
    }

    /// Returns the time since which the connection is to end.
    fn shutdown_since(&self, is_http2: bool) -> Option<Instant> {
        let draining_since = self.draining_since.filter(|_| is_http2);
        draining_since.or(self.closing_since)
    }

    fn next_action(
        &self,
        snapshot: &Snapshot,
        options: &ServeOptions,
        now: Instant,
    ) -> ConnectionAction {
        // Events that begin while the watchdog sleeps are seen at most this much later.
        let mut wake_at = now + options.header_timeout;
        let is_quiet = snapshot.n_in_flight == 0;
        if let (Some(since), true) = (snapshot.head_since, is_quiet) {
            let end = since + options.header_timeout;
            if end <= now {
                return ConnectionAction::Abort("the head of a request did not arrive in time");
            }
            wake_at = wake_at.min(end);
        }
        if let Some(since) = snapshot.blocked_since {
            let end = since + options.idle_timeout;
            if end <= now {
                return ConnectionAction::Abort("the peer does not read");
            }
            wake_at = wake_at.min(end);
        }
        if let Some(since) = self.finishing_since {
            let end = since.max(snapshot.last_progress) + LINGER;
            let end = end.min(since + options.idle_timeout);
            if is_quiet && end <= now {
                return ConnectionAction::Abort("the peer does not read the end of its reply");
            }
            return ConnectionAction::Wait(match end <= now {
                true => now + LINGER,
                false => end,
            });
        }
        if let Some(since) = self.shutdown_since(snapshot.is_http2) {
            let end = since
                + if snapshot.n_calls == 0 {
                    FIRST_CALL_GRACE
                } else {
                    GRACE
                };
            if end <= now {
                return ConnectionAction::Finish;
            }
            wake_at = wake_at.min(end);
        }
        let last_progress = match snapshot.is_http2 {
            true => snapshot.last_call,
            false => snapshot.last_progress,
        };
        let idle_end = last_progress + options.idle_timeout;
        if is_quiet && idle_end <= now {
            return ConnectionAction::Finish;
        }
        if is_quiet {
            wake_at = wake_at.min(idle_end);
        }
        ConnectionAction::Wait(wake_at)
    }
}

#[cfg(test)]
mod tests;
