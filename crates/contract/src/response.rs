//! One inference reply, independent of the dialect.

use std::time::Duration;

use crate::model::SharedModelInfo;
use crate::request::NamedTensor;

/// Time of one request in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// The time from admission until an instance took the request.
    pub queue: Duration,
    /// The time for joining the inputs of the batch.
    pub compute_input: Duration,
    /// The time in the engine, for the whole batch.
    pub compute: Duration,
    /// The time for splitting the outputs of the batch.
    pub compute_output: Duration,
    /// The rows of the batch that the request was part of.
    pub batch_rows: usize,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct InferResponse {
    /// The version that answered.
    pub info: SharedModelInfo,
    /// The outputs, in the order of the request.
    pub outputs: Vec<NamedTensor>,
    /// The time in each stage.
    pub timings: Timings,
}
