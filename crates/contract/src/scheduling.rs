//! Scheduling of the requests of a version: measurements and the limits that follow from them.

use std::time::Duration;

use crate::admission_level::AdmissionLevel;
use crate::model::{ModelName, Version};

crate::named_enum! {
    /// Threads on which requests of a version run while the queue is empty.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ExecutionTarget {
        /// The I/O thread of the connection.
        Inline = "inline",
        /// The threads of the model.
        Pool = "pool",
    }
    /// Returns its name in settings.
    fn as_str
}

/// Measured cost of runs of about the same size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunCost {
    /// The mean number of rows.
    pub rows: f64,
    /// The mean run time.
    pub time: Duration,
    /// The standard deviation of the run time, as a fraction of its mean.
    pub deviation: f64,
}

/// Current scheduling of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// The execution target of requests of one row.
    pub execution_target: ExecutionTarget,
    /// The reason for the execution target.
    pub execution_target_reason: String,
    /// The batch cost curve, by rows; empty before the first run.
    pub curve: Vec<RunCost>,
    /// The smallest batch with nearly the best throughput.
    pub efficient_rows: usize,
    /// The most rows of a batch in use, which a time limit may make smaller.
    pub batch_rows: usize,
    /// The batch delay: the longest time that an idle instance waits for more requests.
    pub hold: Duration,
    /// The limit of rows in the queue.
    pub max_queue_rows: usize,
    /// The rows in the queue.
    pub n_queued_rows: usize,
    /// The predicted wait of a request of one row; `None` before the first run.
    pub predicted_wait: Option<Duration>,
    /// The lowest priority with which a request of one row would be admitted now, with the default
    /// timeout of the version.
    pub admission_level: AdmissionLevel,
}

/// Current scheduling of one version, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct SchedulingReading<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The version.
    pub version: &'a Version,
    /// Its scheduling.
    pub scheduling: &'a Scheduling,
}
