//! `Recorder`: records requests, to replay them in a comparison of versions.

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::infer::BoxFuture;
use crate::model::ModelName;
use crate::request::NamedTensor;

/// Records the requests of callers. May be called from many tasks at once.
pub trait Recorder: Send + Sync + fmt::Debug {
    /// Records and returns the inputs of the next `n_requests` requests for a model, or of fewer
    /// when `timeout` ends first. The requests are answered as usual.
    ///
    /// # Errors
    /// `model_not_found`.
    fn record<'a>(
        &'a self,
        name: &'a ModelName,
        n_requests: usize,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<NamedTensor>>>>;
}
