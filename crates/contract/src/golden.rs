//! `GoldenDecoder`: reads golden requests, the examples beside a version that it must answer right.

use std::fmt;

use crate::error::Result;
use crate::model::ModelInfo;
use crate::request::NamedTensor;

/// A request with the answer that it must get.
#[derive(Clone, Debug)]
pub struct GoldenRequest {
    /// The inputs, in any order.
    pub inputs: Vec<NamedTensor>,
    /// The outputs that the answer must have; it may have others.
    pub outputs: Vec<NamedTensor>,
    /// The difference that numbers with a fraction may have.
    pub absolute_tolerance: f64,
    /// The same as a share of the expected number, which is added.
    pub relative_tolerance: f64,
}

/// Reads the files of golden requests. Called by the loader of versions, off the request path.
pub trait GoldenDecoder: Send + Sync + fmt::Debug {
    /// Reads the text of a file for the version that will be asked.
    ///
    /// # Errors
    /// `invalid_request` with the key that is wrong.
    fn decode(&self, json: &[u8], info: &ModelInfo) -> Result<GoldenRequest>;
}
