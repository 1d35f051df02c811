//! One inference reply in neutral terms.

use std::time::Duration;

use bytes::Bytes;

use crate::model::SharedModelInfo;
use crate::request::NamedTensor;

/// Where the time of one request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From admission until an instance took the request.
    pub queue: Duration,
    /// Joining the inputs of the batch.
    pub compute_input: Duration,
    /// The run of the engine, for the whole batch.
    pub compute: Duration,
    /// Splitting the outputs of the batch.
    pub compute_output: Duration,
    /// The rows of the batch that the request rode in.
    pub batch_rows: usize,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct InferResponse {
    /// The version that answered.
    pub info: SharedModelInfo,
    /// The outputs, in the order that the request asked for.
    pub outputs: Vec<NamedTensor>,
    /// Where the time went.
    pub timings: Timings,
}

/// Who answers, as the bytes that replies carry: made once for a version and an arm, and shared by
/// all their replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedBy {
    /// The model.
    pub model: Bytes,
    /// The version.
    pub version: Bytes,
    /// The arm of the split that the request was assigned to, or forced into.
    pub arm: Option<Bytes>,
    /// The probability that the arm had for the request, as a decimal number, when the weights of
    /// the split follow its rewards and nobody forced the arm.
    pub propensity: Option<Bytes>,
}
