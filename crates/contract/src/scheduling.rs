//! How a version schedules its requests: what was measured, and what follows from it.

use std::time::Duration;

/// Where requests of a version run while nobody is ahead of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionPlace {
    /// On the thread of the connection.
    Inline,
    /// On threads of the model.
    Pool,
}

impl ExecutionPlace {
    /// The word that settings use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Pool => "pool",
        }
    }
}

/// What runs of about one size took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunCost {
    /// The mean of their rows.
    pub rows: f64,
    /// The mean of their times.
    pub time: Duration,
    /// The standard deviation of the time, as a fraction of it.
    pub deviation: f64,
}

/// How a version schedules its requests right now.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// Where requests of one row run.
    pub place: ExecutionPlace,
    /// Why they run there.
    pub place_reason: String,
    /// The measured curve, by rows; empty before the first run.
    pub curve: Vec<RunCost>,
    /// The smallest batch with nearly the best throughput.
    pub efficient_rows: usize,
    /// The most rows of a batch in use, which a time limit may make smaller.
    pub batch_rows: usize,
    /// How long an idle instance waits for company at most.
    pub hold: Duration,
    /// The most rows that wait.
    pub max_queue_rows: usize,
    /// Rows that wait.
    pub n_queued_rows: usize,
    /// How long the answer to a request of one row would take now; `None` before the first run.
    pub predicted_wait: Option<Duration>,
}
