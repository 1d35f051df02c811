//! One inference reply, independent of the dialect.

use std::time::Duration;

use bytes::Bytes;

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

/// The model, version and arm that answer, as bytes for replies: made once for a version and an
/// arm, and shared by all their replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedBy {
    /// The model.
    pub model: Bytes,
    /// The version.
    pub version: Bytes,
    /// The arm of the split that the request was assigned to, or forced into.
    pub arm: Option<Bytes>,
    /// The probability that the arm had for the request, as a decimal number, when the weights of
    /// the split follow its rewards and the arm was not forced.
    pub propensity: Option<Bytes>,
}
