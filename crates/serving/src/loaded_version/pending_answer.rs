//! The wait of a queued request for its answer.

use contract::{Error, Result};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission;
use crate::batch::queue::QueueKey;
use crate::instance::Answer;
use crate::instance::pool::Pool;

/// A queued request; dropping it removes the request from the queue.
#[derive(Debug)]
pub(super) struct PendingAnswer<'a> {
    pool: &'a Pool,
    key: QueueKey,
    is_answered: bool,
}

impl<'a> PendingAnswer<'a> {
    /// Creates the guard of the request with this key.
    pub(super) fn new(pool: &'a Pool, key: QueueKey) -> Self {
        Self {
            pool,
            key,
            is_answered: false,
        }
    }

    /// Waits for the answer until the deadline.
    ///
    /// # Errors
    /// The error of the run of the request, or `deadline_exceeded`.
    pub(super) async fn wait(
        mut self,
        answer: oneshot::Receiver<Result<Answer>>,
        deadline: Option<time::Instant>,
    ) -> Result<Answer> {
        let answer = match deadline {
            None => answer.await,
            Some(deadline) => time::timeout_at(deadline, answer)
                .await
                .map_err(|_| admission::deadline_exceeded())?,
        };
        self.is_answered = true;
        let lost = || Error::internal("a batch returned no result for a request");
        answer.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for PendingAnswer<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pool.cancel(self.key);
        }
    }
}
