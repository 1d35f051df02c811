//! Streams of HTTP/2 whose peer takes nothing of its reply.
//!
//! Input: what hyper gets from the body of a reply, and the idle time-out. Rule: a stream is reset
//! when it has had a frame to send for the idle time and could not send it. A stream whose body has
//! nothing to send may wait, and a small reply that is sent at once has no timer.
//! Rejected: the watchdog of the connection, which cannot tell replies from the answers to pings, and
//! would end the other streams as well; an error from the body, which hyper does not poll while the
//! window of the peer is closed.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

thread_local! {
    /// The last result of a body on this thread. It passes from the body to the executor below
    /// hyper, whose future of the stream is between them.
    static LAST_FRAME: Cell<Option<BodyPoll>> = const { Cell::new(None) };
}

/// The result of polling the body of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyPoll {
    /// Hyper took a frame, which it may not be able to send.
    Frame,
    /// There is nothing to send.
    Pending,
}

/// Records a result of polling the body of a reply.
pub(super) fn record(poll: BodyPoll) {
    LAST_FRAME.set(Some(poll));
}

/// The executor of the streams of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamExecutor {
    /// The time for which a frame may wait.
    pub(super) idle_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(run(stream, self.idle_timeout));
    }
}

/// Runs a stream until it ends or stalls.
async fn run(stream: impl Future, idle_timeout: Duration) {
    let mut stream = pin!(stream);
    // Exists once a frame had to wait.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|ctx| {
        LAST_FRAME.set(None);
        if stream.as_mut().poll(ctx).is_ready() {
            return Poll::Ready(());
        }
        match (LAST_FRAME.take(), &mut timer) {
            (None, _) => {}
            (Some(BodyPoll::Pending), _) => timer = None,
            (Some(BodyPoll::Frame), Some(timer)) => {
                timer.as_mut().reset(Instant::now() + idle_timeout);
            }
            (Some(BodyPoll::Frame), None) => timer = Some(Box::pin(sleep(idle_timeout))),
        }
        let Some(timer) = &mut timer else {
            return Poll::Pending;
        };
        timer.as_mut().poll(ctx).map(|()| {
            tracing::debug!("reset stream whose peer does not read its reply");
        })
    })
    .await;
}
