//! One request as part of a run.

use std::time::Instant;

use super::{Job, Work};
use crate::batch::queue::QueuedRequest;

/// One request of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// What to run.
    pub(crate) work: &'a Work,
    /// Its rows.
    pub(crate) n_rows: usize,
    /// When it came.
    pub(crate) arrived: Instant,
    /// When its answer is worth nothing any more.
    pub(crate) deadline: Option<Instant>,
}

impl<'a> Part<'a> {
    /// The part of a request that waited.
    pub(crate) fn of(job: &'a QueuedRequest<Job>) -> Self {
        Self {
            work: &job.request.work,
            n_rows: job.n_rows,
            arrived: job.arrived,
            deadline: job.deadline,
        }
    }
}

/// Until when an answer is worth something to any of these requests; `None` for ever.
pub(crate) fn latest_deadline(parts: &[Part<'_>]) -> Option<Instant> {
    let mut deadlines = parts.iter().map(|part| part.deadline);
    let first = deadlines.next()??;
    deadlines.try_fold(first, |latest, deadline| Some(latest.max(deadline?)))
}
