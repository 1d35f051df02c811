//! How a version schedules its requests: what was measured, and what follows from it.

use std::time::Duration;

use crate::model::{ModelName, Version};

/// Where requests of a version run while nobody is ahead of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionTarget {
    /// On the thread of the connection.
    Inline,
    /// On threads of the model.
    Pool,
}

impl ExecutionTarget {
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
    pub execution_target: ExecutionTarget,
    /// Why they run there.
    pub execution_target_reason: String,
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
    /// The lowest priority of which a request of one row would be admitted now, with the time that
    /// the version gives it.
    pub admission_level: AdmissionLevel,
}

/// The lowest priority that is still admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionLevel {
    /// Requests of this priority and of every more urgent one; 0 is the least urgent of all.
    Priority(u32),
    /// Not even those of priority 1.
    Closed,
}

impl AdmissionLevel {
    /// What callers and scrapers read: the priority, or -1 for nobody.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Priority(priority) => i64::from(priority),
            Self::Closed => -1,
        }
    }
}

/// How one version takes requests right now, for those who measure it.
#[derive(Clone, Copy, Debug)]
pub struct SchedulingReading<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The version.
    pub version: &'a Version,
    /// How it schedules.
    pub scheduling: &'a Scheduling,
}
