//! Inputs and outputs of the scheduler.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, RunCost};

use crate::batch::queue::{QueueKey, QueuedRequest};

/// The limits of the scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most rows of a batch.
    pub(crate) max_rows: usize,
    /// The longest batch delay of a free instance; `None` leaves it to the scheduler.
    pub(crate) max_delay: Option<Duration>,
    /// The most rows that may wait.
    pub(crate) queue: QueueLimit,
    /// The time in which requests must be answered, when the model sets one.
    pub(crate) time_limit: Option<Duration>,
    /// The instances at the start, all of them free.
    pub(crate) n_instances: usize,
}

/// The most rows that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueLimit {
    /// The number in the settings.
    Fixed(usize),
    /// The rows that can be answered in time.
    Learned {
        /// The upper bound.
        at_most: usize,
    },
}

/// The next action of a free instance.
#[derive(Debug)]
pub(crate) enum Decision<T> {
    /// Run this batch.
    Run(Batch<T>),
    /// Refuse these requests, then ask again. Those with a deadline would miss it; those without
    /// have waited too long in a queue that does not drain.
    Drop(Vec<QueuedRequest<T>>),
    /// Ask again at this time, or at the next arrival.
    HoldUntil(Instant),
    /// Ask again at the next arrival.
    Wait,
    /// Stop; nothing more will come.
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

/// An admitted request.
#[derive(Debug)]
pub(crate) struct Admitted<T> {
    /// The position in the queue.
    pub(crate) key: QueueKey,
    /// Less urgent requests that were displaced.
    pub(crate) displaced: Vec<QueuedRequest<T>>,
    /// The new admission level, for the displaced requests.
    pub(crate) level: Option<AdmissionLevel>,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunReport {
    /// The rows of the run.
    pub(crate) n_rows: usize,
    /// The time of the run; `None` when it failed.
    pub(crate) time: Option<Duration>,
    /// The requests that were answered.
    pub(crate) n_requests: usize,
    /// The number of them that had a deadline.
    pub(crate) n_due: usize,
    /// The number of them that missed it.
    pub(crate) n_late: usize,
}

/// A refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The reason.
    pub(crate) refusal: Refusal,
    /// The current admission level.
    pub(crate) level: AdmissionLevel,
}

/// The reason why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The queue is full.
    #[error("the queue holds its limit of {limit} rows")]
    QueueFull {
        /// The most rows that wait.
        limit: usize,
        /// The predicted time until the last of them is answered.
        wait: Option<Duration>,
    },
    /// The answer would come too late.
    #[error("the answer takes {} ms, {} ms too long", wait.as_millis(), excess.as_millis())]
    TooLate {
        /// The predicted time to the answer.
        wait: Duration,
        /// The time by which that is too long.
        excess: Duration,
    },
    /// The run alone takes longer than the request allows, so that nothing is gained by waiting.
    #[error("a run takes {} ms, {} ms are left", run.as_millis(), time.as_millis())]
    DeadlineTooShort {
        /// The predicted time of a run of its rows.
        run: Duration,
        /// The time to the deadline.
        time: Duration,
    },
    /// Admission has stopped.
    #[error("the version is being unloaded")]
    Closing,
    /// No instance is left.
    #[error("no instance is left")]
    NoInstance,
}

/// Measurements, and the sizes and predictions that follow from them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SchedulerSnapshot {
    /// The curve of costs, by rows.
    pub(crate) curve: Vec<RunCost>,
    /// The smallest batch with nearly the best throughput.
    pub(crate) efficient_rows: usize,
    /// The most rows of a batch.
    pub(crate) batch_rows: usize,
    /// The batch delay of an idle instance, if it waits.
    pub(crate) hold: Option<Duration>,
    /// The most rows that wait.
    pub(crate) max_queue_rows: usize,
    /// Rows that wait.
    pub(crate) n_queued_rows: usize,
    /// The predicted time to the answer of a row; `None` when nothing is known.
    pub(crate) predicted_wait: Option<Duration>,
    /// The lowest priority at which a row would be admitted.
    pub(crate) admission_level: AdmissionLevel,
}
