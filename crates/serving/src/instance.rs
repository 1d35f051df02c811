//! Instances: the sessions of a model, and the threads that run them.
//!
//! Decision: a free thread comes and takes a batch together with an idle session, nobody hands it
//! one. So it always has the newest view of the queue, and there is no assignment to take back when
//! it dies. A caller whose run is short may take an idle session itself, and spare both hand-offs.

pub(crate) mod coalescing;
pub(crate) mod cost;
pub(crate) mod executor;
pub(crate) mod overrun;
pub(crate) mod part;
pub(crate) mod pool;
mod stopwatch;
mod thread_name;
pub(crate) mod verification;
pub(crate) mod watch;
pub(crate) mod watchdog;

use contract::{Result, Tensor, Timings};
use tokio::sync::oneshot;

/// What a request wants to be run.
#[derive(Debug)]
pub(crate) struct Work {
    /// The inputs in the order of the signature.
    pub(crate) inputs: Vec<Option<Tensor>>,
    /// The positions of the outputs that it asks for.
    pub(crate) outputs: Vec<usize>,
}

/// A request on its way to an instance.
#[derive(Debug)]
pub(crate) struct Job {
    /// What to run.
    pub(crate) work: Work,
    /// Whether it may run on the thread of a caller, in company too.
    pub(crate) is_short: bool,
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
