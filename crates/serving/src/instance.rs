//! Instances: one thread for each session of a model.
//!
//! Decision: a free instance comes and takes a batch, nobody hands it one. So an idle instance
//! always has the newest view of the queue, and there is no assignment to take back when it dies.

pub(crate) mod executor;
pub(crate) mod pool;

use contract::{Result, Tensor, Timings};
use tokio::sync::oneshot;

/// A request on its way to an instance.
#[derive(Debug)]
pub(crate) struct Job {
    /// The inputs in the order of the signature.
    pub(crate) inputs: Vec<Option<Tensor>>,
    /// The positions of the outputs that it asks for.
    pub(crate) outputs: Vec<usize>,
    /// Where its answer goes; the caller may have gone away.
    pub(crate) reply: oneshot::Sender<Result<Answer>>,
}

/// What an instance made of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The outputs in the order that the request asked for.
    pub(crate) outputs: Vec<Tensor>,
    /// Where the time went.
    pub(crate) timings: Timings,
}
