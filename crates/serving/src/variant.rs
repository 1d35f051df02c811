//! A variant: one loaded version of a model that answers requests.
//!
//! Decision: model code runs on threads of its own, one for each session, and never on a thread
//! that polls futures; a request waits for its answer on a one-shot channel.
//!
//! What one request costs besides its tensors: it allocates a one-shot channel, a node in the
//! queue, and the lists of its inputs and outputs; it locks the mutex of the queue once to get in,
//! its batch locks it once to get out, and the statistics are locked once at its end; it wakes a
//! thread when one sleeps, and that thread wakes its task. A deadline adds one timer. Nothing is
//! locked over an `.await`, and nobody waits for the observer.

mod flight;

use std::sync::Arc;
use std::time::Duration;

use contract::{
    Error, InferRequest, InferResponse, NamedTensor, Observe, Result, Session, SharedModelInfo,
    VersionStatistics,
};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission::{self, Gate};
use crate::batch::policy::Limits;
use crate::batch::queue::{Place, Waiting};
use crate::instance::executor::Executor;
use crate::instance::pool::Pool;
use crate::instance::{Answer, Job};
use crate::statistics::Statistics;
use flight::Flight;

/// How requests are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The most rows of a batch; 1 turns joining off.
    pub(crate) max_rows: usize,
    /// The longest that an idle instance waits for company.
    pub(crate) max_delay: Duration,
}

/// How a variant treats its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VariantSettings {
    /// How requests are joined.
    pub(crate) batch: BatchSettings,
    /// The most rows that wait; requests that an idle instance takes at once do not count.
    pub(crate) max_queue_rows: usize,
    /// The longest that a request may take, whatever deadline it names.
    pub(crate) default_timeout: Option<Duration>,
}

impl VariantSettings {
    fn limits(&self, n_instances: usize) -> Limits {
        Limits {
            max_rows: self.batch.max_rows,
            max_delay: self.batch.max_delay,
            max_queue_rows: self.max_queue_rows,
            n_instances,
        }
    }
}

/// One loaded version of a model that answers requests.
#[derive(Debug)]
pub(crate) struct Variant {
    info: SharedModelInfo,
    default_timeout: Option<Duration>,
    pool: Arc<Pool>,
    gate: Arc<Gate>,
    statistics: Arc<Statistics>,
    observe: Arc<dyn Observe>,
}

impl Variant {
    /// Starts one thread for each session.
    ///
    /// # Errors
    /// `internal` when there is no session, or the operating system has no thread to give.
    pub(crate) fn start(
        info: SharedModelInfo,
        sessions: Vec<Box<dyn Session>>,
        settings: VariantSettings,
        observe: Arc<dyn Observe>,
    ) -> Result<Arc<Self>> {
        if sessions.is_empty() {
            return Err(Error::internal("a variant needs a session to run on"));
        }
        let statistics = Statistics::new(info.model.clone(), info.version.clone());
        let variant = Arc::new(Self {
            default_timeout: settings.default_timeout,
            pool: Arc::new(Pool::new(settings.limits(sessions.len()))),
            gate: Arc::default(),
            statistics: Arc::new(statistics),
            observe,
            info,
        });
        let executor = Arc::new(variant.executor());
        for (index, session) in sessions.into_iter().enumerate() {
            executor.start(index, session).map_err(|error| {
                Error::internal(format!("no thread for instance {index}: {error}"))
            })?;
        }
        Ok(variant)
    }

    fn executor(&self) -> Executor {
        Executor {
            info: Arc::clone(&self.info),
            pool: Arc::clone(&self.pool),
            statistics: Arc::clone(&self.statistics),
            observe: Arc::clone(&self.observe),
        }
    }

    /// What is known about the version.
    pub(crate) fn info(&self) -> &SharedModelInfo {
        &self.info
    }

    /// Answers a request. Dropping the future cancels it.
    ///
    /// # Errors
    /// `invalid_request`, `queue_full`, `model_not_ready`, `deadline_exceeded`, `engine_failed`,
    /// `engine_lost`, `internal`.
    pub(crate) async fn infer(self: &Arc<Self>, request: InferRequest) -> Result<InferResponse> {
        let mut flight = Flight::new(self);
        let result = self.answer(request, &mut flight).await;
        flight.land(&result);
        result
    }

    async fn answer(
        &self,
        request: InferRequest,
        flight: &mut Flight<'_>,
    ) -> Result<InferResponse> {
        let fitting = admission::fit(&self.info, request.inputs, &request.outputs)?;
        let started = flight.started();
        let deadline = admission::deadline(request.deadline, self.default_timeout, started)?;
        let positions = fitting.outputs.clone();
        let n_rows = fitting.n_rows;
        let (reply, answer) = oneshot::channel();
        let permit = self.gate.enter();
        let ticket = self.submit(Waiting {
            n_rows,
            layout: fitting.layout,
            priority: request.priority,
            arrived: started,
            deadline,
            request: Job {
                inputs: fitting.inputs,
                outputs: fitting.outputs,
                reply,
            },
        })?;
        flight.admitted(permit, n_rows);
        let deadline = deadline.map(time::Instant::from_std);
        let answer = ticket.redeem(answer, deadline).await?;
        Ok(self.response(&positions, answer))
    }

    fn submit(&self, waiting: Waiting<Job>) -> Result<Ticket<'_>> {
        let submitted = self.pool.submit(waiting);
        let place = submitted.map_err(|refusal| admission::refused(&self.info, refusal))?;
        Ok(Ticket {
            pool: &self.pool,
            place,
            is_answered: false,
        })
    }

    fn response(&self, positions: &[usize], answer: Answer) -> InferResponse {
        let mut outputs = Vec::with_capacity(positions.len());
        for (&position, tensor) in positions.iter().zip(answer.outputs) {
            if let Some(spec) = self.info.signature.outputs.get(position) {
                let name = spec.name.clone();
                outputs.push(NamedTensor { name, tensor });
            }
        }
        InferResponse {
            info: Arc::clone(&self.info),
            outputs,
            timings: answer.timings,
        }
    }

    /// What the version has done so far.
    pub(crate) fn statistics(&self) -> VersionStatistics {
        self.statistics.snapshot()
    }

    /// Requests admitted and not answered yet.
    pub(crate) fn n_in_flight(&self) -> usize {
        self.gate.n_inside()
    }

    /// Resolves when nothing is in flight.
    pub(crate) async fn drained(&self) {
        self.gate.emptied().await;
    }

    /// Takes nothing new; the threads end once the queue is empty.
    pub(crate) fn stop(&self) {
        self.pool.close();
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A place in the queue; dropping it gives the place up.
#[derive(Debug)]
struct Ticket<'a> {
    pool: &'a Pool,
    place: Place,
    is_answered: bool,
}

impl Ticket<'_> {
    async fn redeem(
        mut self,
        answer: oneshot::Receiver<Result<Answer>>,
        deadline: Option<time::Instant>,
    ) -> Result<Answer> {
        let answer = match deadline {
            None => answer.await,
            Some(deadline) => time::timeout_at(deadline, answer)
                .await
                .map_err(|_| admission::deadline_exceeded())?,
        };
        self.is_answered = true;
        answer.unwrap_or_else(|_| Err(Error::internal("an instance forgot a request")))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pool.cancel(self.place);
        }
    }
}

#[cfg(test)]
mod tests;
