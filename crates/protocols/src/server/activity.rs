//! Activity of one connection: the side that is awaited, and the start of the wait.
//!
//! Rule: time is kept in milliseconds since the connection was accepted, in atomics, so that the
//! reads and writes of hyper, the calls and the watchdog share it without a lock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The first bytes of an HTTP/2 client.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The time of what has not begun.
const NEVER: u64 = u64::MAX;

/// The activity of one connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The time since which the head of a request is incomplete, if one is.
    pub(super) head_since: Option<Instant>,
    /// The time at which bytes last moved or a call last ended.
    pub(super) last_progress: Instant,
    /// The time at which a call last began or ended.
    pub(super) last_call: Instant,
    /// The time since which the socket takes no bytes, if it does not.
    pub(super) blocked_since: Option<Instant>,
    /// Calls whose reply hyper has not taken completely.
    pub(super) n_in_flight: usize,
    /// Calls so far.
    pub(super) n_calls: usize,
    /// Is true when the peer has begun to speak HTTP/2.
    pub(super) is_http2: bool,
}

/// The state shared by the socket, the service and the watchdog of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    head_since_ms: AtomicU64,
    last_progress_ms: AtomicU64,
    last_call_ms: AtomicU64,
    blocked_since_ms: AtomicU64,
    n_in_flight: AtomicUsize,
    n_calls: AtomicUsize,
    is_http2: AtomicBool,
}

impl Activity {
    /// Returns the activity of a connection that was just accepted; the head of its first request
    /// is awaited from now on.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            head_since_ms: AtomicU64::new(0),
            last_progress_ms: AtomicU64::new(0),
            last_call_ms: AtomicU64::new(0),
            blocked_since_ms: AtomicU64::new(NEVER),
            n_in_flight: AtomicUsize::new(0),
            n_calls: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
        })
    }

    /// Counts a call until the guard is dropped.
    pub(super) fn begin_call(self: &Arc<Self>) -> InFlight {
        self.n_in_flight.fetch_add(1, Ordering::Relaxed);
        self.n_calls.fetch_add(1, Ordering::Relaxed);
        self.head_since_ms.store(NEVER, Ordering::Relaxed);
        self.last_call_ms.store(self.now_ms(), Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Returns the current activity.
    pub(super) fn snapshot(&self) -> Snapshot {
        let at = |millis| self.accepted + Duration::from_millis(millis);
        let since = |millis: &AtomicU64| match millis.load(Ordering::Relaxed) {
            NEVER => None,
            millis => Some(at(millis)),
        };
        Snapshot {
            head_since: since(&self.head_since_ms),
            last_progress: at(self.last_progress_ms.load(Ordering::Relaxed)),
            last_call: at(self.last_call_ms.load(Ordering::Relaxed)),
            blocked_since: since(&self.blocked_since_ms),
            n_in_flight: self.n_in_flight.load(Ordering::Relaxed),
            n_calls: self.n_calls.load(Ordering::Relaxed),
            is_http2: self.is_http2.load(Ordering::Relaxed),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn progress(&self) {
        self.last_progress_ms
            .store(self.now_ms(), Ordering::Relaxed);
    }

    /// Records the result of a write.
    fn write_ended<T>(&self, write: &Poll<T>) {
        if write.is_ready() {
            self.progress();
            self.blocked_since_ms.store(NEVER, Ordering::Relaxed);
        } else if self.blocked_since_ms.load(Ordering::Relaxed) == NEVER {
            self.blocked_since_ms
                .store(self.now_ms(), Ordering::Relaxed);
        }
    }

    fn head_began(&self) {
        if self.n_in_flight.load(Ordering::Relaxed) == 0
            && self.head_since_ms.load(Ordering::Relaxed) == NEVER
        {
            self.head_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Marks the connection as HTTP/2. Its frames come at any time; hyper's pings supervise them.
    fn http2_began(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
        self.head_since_ms.store(NEVER, Ordering::Relaxed);
    }
}

/// One call, from its head until hyper has taken its whole reply.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.n_in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.progress();
        self.0
            .last_call_ms
            .store(self.0.now_ms(), Ordering::Relaxed);
    }
}

/// The bytes that one connection moves before the others of its thread get their turn: a peer that
/// is as fast as the server would never make it wait.
const TURN_BYTES: usize = 256 << 10;

/// A stream of bytes, plain or encrypted, that reports its reads and writes to its [`Activity`], and
/// lets other connections take turns.
#[derive(Debug)]
pub(super) struct TrackedStream<S> {
    stream: S,
    activity: Arc<Activity>,
    preface: Preface,
    /// The bytes read and written in this turn.
    n_read: usize,
    n_written: usize,
}

/// Returns whether a turn of `n_bytes` is over; the next one begins when the task is woken, which it
/// is at once.
fn ends_turn(n_bytes: &mut usize, cx: &Context<'_>) -> bool {
    let is_over = *n_bytes >= TURN_BYTES;
    if is_over {
        *n_bytes = 0;
        cx.waker().wake_by_ref();
    }
    is_over
}

impl<S> TrackedStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            preface: Preface::Matches(0),
            n_read: 0,
            n_written: 0,
        }
    }

    /// Records the result of a write.
    fn record_write(&mut self, write: &Poll<io::Result<usize>>) {
        self.activity.write_ended(write);
        self.n_written = match write {
            Poll::Ready(Ok(n_bytes)) => self.n_written.saturating_add(*n_bytes),
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
    }

    fn record_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.activity.progress();
        self.preface = self.preface.after(bytes);
        match self.preface {
            Preface::Complete => self.activity.http2_began(),
            Preface::Matches(_) | Preface::Differs => self.activity.head_began(),
        }
    }
}

/// The match of the first bytes with [`HTTP2_PREFACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preface {
    Matches(usize),
    Differs,
    Complete,
}

impl Preface {
    fn after(self, bytes: &[u8]) -> Self {
        let Self::Matches(n_matched) = self else {
            return self;
        };
        let expected = HTTP2_PREFACE.get(n_matched..).unwrap_or_default();
        let n_compared = expected.len().min(bytes.len());
        if expected.get(..n_compared) != bytes.get(..n_compared) {
            return Self::Differs;
        }
        match n_compared == expected.len() {
            true => Self::Complete,
            false => Self::Matches(n_matched + n_compared),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if ends_turn(&mut self.n_read, cx) {
            return Poll::Pending;
        }
        let n_before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
            self.n_read = 0;
            return Poll::Pending;
        };
        let bytes = buf.filled().get(n_before..).unwrap_or_default();
        self.n_read = self.n_read.saturating_add(bytes.len());
        self.record_read(bytes);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if ends_turn(&mut self.n_written, cx) {
            return Poll::Pending;
        }
        let bytes = bytes.get(..TURN_BYTES).unwrap_or(bytes);
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.record_write(&write);
        write
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sizes = bytes.iter().map(|slice| slice.len());
        if sizes.sum::<usize>() > TURN_BYTES {
            // Large ones gain nothing from being written together.
            let first = bytes.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        if ends_turn(&mut self.n_written, cx) {
            return Poll::Pending;
        }
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.record_write(&write);
        write
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_in_any_cut() {
        for n in 0..HTTP2_PREFACE.len() {
            let (first, second) = HTTP2_PREFACE.split_at(n);
            let both = Preface::Matches(0).after(first).after(second);
            assert_eq!(both, Preface::Complete, "{n}");
        }
        let request = Preface::Matches(0).after(b"P").after(b"OST / HTTP/1.1");
        assert_eq!(request, Preface::Differs);
        assert_eq!(Preface::Matches(0).after(b"PRI"), Preface::Matches(3));
    }

    #[tokio::test]
    async fn a_connection_that_never_waits_takes_turns() {
        let (activity, chunk) = (Activity::new(), 64 << 10);
        let mut reader = TrackedStream::new(tokio::io::repeat(b'x'), Arc::clone(&activity));
        let mut writer = TrackedStream::new(tokio::io::sink(), activity);
        let (mut space, large) = (vec![0; chunk], vec![0; 3 * TURN_BYTES]);
        let slices = [io::IoSlice::new(&large[..chunk]), io::IoSlice::new(&large)];
        let turns = std::future::poll_fn(|cx| {
            let mut n_read = 0;
            let mut buf = ReadBuf::new(&mut space);
            while Pin::new(&mut reader).poll_read(cx, &mut buf).is_ready() {
                n_read += buf.filled().len();
                buf.clear();
            }
            let mut n_written = 0;
            while let Poll::Ready(written) = Pin::new(&mut writer).poll_write_vectored(cx, &slices)
            {
                n_written += written.unwrap();
            }
            Poll::Ready((n_read, n_written))
        });
        assert_eq!(turns.await, (TURN_BYTES, TURN_BYTES));
    }

    #[test]
    fn a_head_is_awaited_until_the_call_begins() {
        let activity = Activity::new();
        assert_eq!(activity.snapshot().head_since, Some(activity.accepted));
        let call = activity.begin_call();
        activity.head_began();
        assert_eq!(activity.snapshot().head_since, None);
        assert_eq!(activity.snapshot().n_in_flight, 1);
        drop(call);
        let idle = activity.snapshot();
        assert_eq!((idle.n_in_flight, idle.n_calls), (0, 1));
        activity.head_began();
        assert!(activity.snapshot().head_since.is_some());
    }
}
