//! One request as part of a run.

use std::time::Instant;

use super::{Job, Work};
use crate::batch::queue::QueuedRequest;

/// One request of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// The work to run.
    pub(crate) work: &'a Work,
    /// The rows.
    pub(crate) n_rows: usize,
    /// The time of arrival.
    pub(crate) arrived: Instant,
    /// The time after which its answer is useless.
    pub(crate) deadline: Option<Instant>,
}

impl<'a> Part<'a> {
    /// Returns the part of a queued request.
    pub(crate) fn of(job: &'a QueuedRequest<Job>) -> Self {
        Self {
            work: &job.request.work,
            n_rows: job.n_rows,
            arrived: job.arrived,
            deadline: job.deadline,
        }
    }
}

/// Returns the latest deadline of these requests; `None` when one of them has none.
pub(crate) fn latest_deadline(parts: &[Part<'_>]) -> Option<Instant> {
    let mut deadlines = parts.iter().map(|part| part.deadline);
    let first = deadlines.next()??;
    deadlines.try_fold(first, |latest, deadline| Some(latest.max(deadline?)))
}
