//! What goes into the scheduler and what comes out of it.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, RunCost};

use crate::batch::queue::{QueueKey, QueuedRequest};

/// What the scheduler goes by.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most rows of a batch.
    pub(crate) max_rows: usize,
    /// The longest that a free instance waits for company; `None` leaves it to the scheduler.
    pub(crate) max_delay: Option<Duration>,
    /// How many rows may wait.
    pub(crate) queue: QueueLimit,
    /// The time in which requests must be answered, when the model says.
    pub(crate) time_limit: Option<Duration>,
    /// Instances at the start, all of them free.
    pub(crate) n_instances: usize,
}

/// How many rows may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueLimit {
    /// What the user says.
    Fixed(usize),
    /// What can be answered in time.
    Learned {
        /// And never more.
        at_most: usize,
    },
}

/// What a free instance has to do.
#[derive(Debug)]
pub(crate) enum Decision<T> {
    /// Run this batch.
    Run(Batch<T>),
    /// Tell these that they will not run, then ask again. Those with a deadline would miss it;
    /// those without have waited too long in a queue that does not drain.
    Drop(Vec<QueuedRequest<T>>),
    /// Ask again at this time, or at the next arrival.
    HoldUntil(Instant),
    /// Ask again at the next arrival.
    Wait,
    /// Nothing will come any more.
    End,
}

/// Requests that run together.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    /// The requests.
    pub(crate) requests: Vec<QueuedRequest<T>>,
    /// The instance that is busy with them until it is freed or lost.
    pub(crate) slot: usize,
}

/// A request was taken in.
#[derive(Debug)]
pub(crate) struct Admitted<T> {
    /// Its place in line.
    pub(crate) key: QueueKey,
    /// Less urgent requests that had to make room for it.
    pub(crate) displaced: Vec<QueuedRequest<T>>,
    /// Who is admitted from now on, for those that had to make room.
    pub(crate) level: Option<AdmissionLevel>,
}

/// What an instance has run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunReport {
    /// Rows of the run.
    pub(crate) n_rows: usize,
    /// How long it took; `None` when it failed.
    pub(crate) time: Option<Duration>,
    /// Requests that were answered.
    pub(crate) n_requests: usize,
    /// Those of them that had a deadline.
    pub(crate) n_due: usize,
    /// Those of them that missed it.
    pub(crate) n_late: usize,
}

/// A request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Why.
    pub(crate) refusal: Refusal,
    /// Who is admitted in its place.
    pub(crate) level: AdmissionLevel,
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The queue is full.
    #[error("the queue holds its limit of {limit} rows")]
    QueueFull {
        /// The most rows that wait.
        limit: usize,
        /// When the last of them will have been answered, as far as predicted.
        wait: Option<Duration>,
    },
    /// The answer would come too late.
    #[error("the answer takes {} ms, {} ms too long", wait.as_millis(), excess.as_millis())]
    TooLate {
        /// How long the answer would take.
        wait: Duration,
        /// By how much that is too long.
        excess: Duration,
    },
    /// Nothing new is taken.
    #[error("the variant is closing")]
    Closing,
    /// No instance is left.
    #[error("no instance is left")]
    NoInstance,
}

/// What was measured, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SchedulerSnapshot {
    /// The curve of costs, by rows.
    pub(crate) curve: Vec<RunCost>,
    /// The smallest batch with nearly the best throughput.
    pub(crate) efficient_rows: usize,
    /// The most rows of a batch.
    pub(crate) batch_rows: usize,
    /// How long an idle instance waits for company, if it does.
    pub(crate) hold: Option<Duration>,
    /// The most rows that wait.
    pub(crate) max_queue_rows: usize,
    /// Rows that wait.
    pub(crate) n_queued_rows: usize,
    /// How long the answer to a row would take; `None` when nothing is known.
    pub(crate) predicted_wait: Option<Duration>,
    /// The lowest priority of which a row would be admitted.
    pub(crate) admission_level: AdmissionLevel,
}
