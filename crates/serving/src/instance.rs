//! Instances: the sessions of a model, and the threads that run them.
//!
//! Decision: a free thread takes a batch together with an idle session; no dispatcher assigns them.
//! So the thread always sees the current queue, and no assignment has to be undone when it ends. A
//! caller whose run is short may take an idle session itself and avoid both hand-offs.

pub(crate) mod coalescing;
pub(crate) mod cost;
pub(crate) mod executor;
pub(crate) mod overrun;
pub(crate) mod part;
pub(crate) mod pool;
mod stopwatch;
mod thread_name;
mod waker;
pub(crate) mod watch;
pub(crate) mod watchdog;

use contract::{Result, Tensor, Timings};
use tokio::sync::oneshot;

/// The work of one request.
#[derive(Debug)]
pub(crate) struct Work {
    /// The inputs in the order of the signature.
    pub(crate) inputs: Vec<Option<Tensor>>,
    /// The positions of the requested outputs.
    pub(crate) outputs: Vec<usize>,
}

/// A request on its way to an instance.
#[derive(Debug)]
pub(crate) struct Job {
    /// The work to run.
    pub(crate) work: Work,
    /// True if it may run on the thread of a caller, in a batch too.
    pub(crate) is_short: bool,
    /// The channel for its answer; the caller may have gone away.
    pub(crate) reply: oneshot::Sender<Result<Answer>>,
}

/// The answer of an instance to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The outputs in the requested order.
    pub(crate) outputs: Vec<Tensor>,
    /// The time of each part of the run.
    pub(crate) timings: Timings,
}
