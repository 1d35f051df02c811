//! A variant: one loaded version of a model that answers requests.
//!
//! Decision: model code runs on threads of its own, one per session, and never on a thread that
//! polls futures; a request waits for its answer on a one-shot channel.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use contract::{
    Code, Error, InferRequest, InferResponse, NamedTensor, Observe, Result, Session,
    SharedModelInfo, Tensor, Timings, VersionStatistics,
};
use tokio::sync::{Notify, oneshot};

/// How requests are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The most rows of a batch; 1 turns joining off.
    pub(crate) max_rows: usize,
    /// The longest that an idle instance waits for company.
    pub(crate) max_delay: Duration,
}

/// How a variant treats its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VariantSettings {
    /// How requests are joined.
    pub(crate) batch: BatchSettings,
    /// The most rows that wait.
    pub(crate) max_queue_rows: usize,
    /// The time of a request that names no deadline.
    pub(crate) default_timeout: Option<Duration>,
}

#[derive(Debug)]
struct Job {
    inputs: Vec<Option<Tensor>>,
    outputs: Vec<usize>,
    reply: oneshot::Sender<Result<Vec<Tensor>>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    is_stopping: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_stopping {
                return None;
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One loaded version of a model that answers requests.
#[derive(Debug)]
pub(crate) struct Variant {
    info: SharedModelInfo,
    shared: Arc<Shared>,
    n_in_flight: AtomicUsize,
    idle: Notify,
}

struct InFlight<'a>(&'a Variant);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.0.n_in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Variant {
    /// Starts one thread for each session.
    pub(crate) fn start(
        info: SharedModelInfo,
        sessions: Vec<Box<dyn Session>>,
        _settings: VariantSettings,
        _observe: Arc<dyn Observe>,
    ) -> Result<Arc<Self>> {
        let shared = Arc::new(Shared::default());
        let variant = Self {
            info,
            shared: Arc::clone(&shared),
            n_in_flight: AtomicUsize::new(0),
            idle: Notify::new(),
        };
        for mut session in sessions {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .spawn(move || {
                    while let Some(job) = shared.next() {
                        drop(job.reply.send(session.run(&job.inputs, &job.outputs)));
                    }
                })
                .map_err(|error| Error::internal(format!("starting a thread: {error}")))?;
        }
        Ok(Arc::new(variant))
    }

    /// What is known about the version.
    pub(crate) fn info(&self) -> &SharedModelInfo {
        &self.info
    }

    /// Answers a request. Dropping the future cancels it.
    pub(crate) async fn infer(self: &Arc<Self>, request: InferRequest) -> Result<InferResponse> {
        let inputs = self.info.signature.bind_inputs(request.inputs)?;
        let outputs = self.info.signature.bind_outputs(&request.outputs)?;
        self.n_in_flight.fetch_add(1, Ordering::AcqRel);
        let _in_flight = InFlight(self);
        let tensors = self.submit(inputs, outputs.clone())?.await;
        let tensors = tensors.map_err(|_| Error::internal("the thread dropped the request"))??;
        let specs = outputs
            .iter()
            .filter_map(|&index| self.info.signature.outputs.get(index));
        Ok(InferResponse {
            info: Arc::clone(&self.info),
            outputs: specs
                .zip(tensors)
                .map(|(spec, tensor)| NamedTensor {
                    name: spec.name.clone(),
                    tensor,
                })
                .collect(),
            timings: Timings::default(),
        })
    }

    fn submit(
        &self,
        inputs: Vec<Option<Tensor>>,
        outputs: Vec<usize>,
    ) -> Result<oneshot::Receiver<Result<Vec<Tensor>>>> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.shared.state();
        if state.is_stopping {
            return Err(Error::new(Code::ModelNotReady, "the version is stopping"));
        }
        state.jobs.push_back(Job {
            inputs,
            outputs,
            reply,
        });
        drop(state);
        self.shared.wake.notify_one();
        Ok(answer)
    }

    /// What the version has done so far.
    pub(crate) fn statistics(&self) -> VersionStatistics {
        VersionStatistics::new(self.info.model.clone(), self.info.version.clone())
    }

    /// Requests admitted and not answered yet.
    pub(crate) fn n_in_flight(&self) -> usize {
        self.n_in_flight.load(Ordering::Acquire)
    }

    /// Resolves when nothing is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            if self.n_in_flight() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Takes nothing new; the threads end once the queue is empty.
    pub(crate) fn stop(&self) {
        self.shared.state().is_stopping = true;
        self.shared.wake.notify_all();
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        self.stop();
    }
}
