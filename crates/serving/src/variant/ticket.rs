//! The wait of a request for its answer.

use contract::{Error, Result};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission;
use crate::batch::queue::Place;
use crate::instance::Answer;
use crate::instance::pool::Pool;

/// A place in the queue; dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pool: &'a Pool,
    place: Place,
    is_answered: bool,
}

impl<'a> Ticket<'a> {
    /// The ticket of a request that waits at this place.
    pub(super) fn new(pool: &'a Pool, place: Place) -> Self {
        Self {
            pool,
            place,
            is_answered: false,
        }
    }

    /// Waits for the answer until the deadline.
    pub(super) async fn redeem(
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
        answer.unwrap_or_else(|_| Err(Error::internal("an instance forgot a request")))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pool.cancel(self.place);
        }
    }
}
