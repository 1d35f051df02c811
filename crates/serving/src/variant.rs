//! A variant: one loaded version of a model that answers requests.
//!
//! Decision: where a request runs follows from its measured cost. A short run happens on the thread
//! of its caller, when a session is idle and nobody is ahead: two hand-offs would cost more than the
//! run. While such requests follow each other closely, each lets the other connections of its
//! thread go first, and the first that comes back runs all of them as one batch. Everything else runs on threads of the model, one for each session, and its request waits
//! for the answer on a one-shot channel.
//!
//! What one request costs besides its tensors: it allocates the lists of its inputs and outputs, and
//! the statistics are locked twice. Run by its caller, it locks the mutex of the pool to take a
//! session and to give it back. Queued, it allocates a one-shot channel and a node in the queue; it
//! locks the mutex once to get in, its batch locks it once to get out; it wakes a thread when one
//! sleeps, and that thread wakes its task. A deadline adds one timer. Nothing is locked over an
//! `.await`, and nobody waits for the observer.

mod flight;
mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{
    Error, InferRequest, InferResponse, NamedTensor, Observe, Result, Scheduling, Session,
    SharedModelInfo, Urgency, VersionStatistics,
};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission::{self, Gate};
use crate::batch::curve::Curve;
use crate::batch::policy::exchange::{Limits, QueueLimit};
use crate::batch::queue::{Place, Waiting};
use crate::instance::company::Company;
use crate::instance::cost::CostCurve;
use crate::instance::executor::Executor;
use crate::instance::pool::Pool;
use crate::instance::{Answer, Job, Work};
use crate::statistics::Statistics;
use flight::Flight;
pub(crate) use place::Execution;

/// How requests are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The most rows of a batch; 1 turns joining off.
    pub(crate) max_rows: usize,
    /// The longest that an idle instance waits for company; `None` leaves it to the scheduler.
    pub(crate) max_delay: Option<Duration>,
}

/// How a variant treats its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VariantSettings {
    /// How requests are joined.
    pub(crate) batch: BatchSettings,
    /// The rows that wait; requests that an idle instance takes at once do not count.
    pub(crate) queue: QueueLimit,
    /// The longest that a request may take, whatever deadline it names.
    pub(crate) default_timeout: Option<Duration>,
    /// Where requests run.
    pub(crate) execution: Execution,
}

impl VariantSettings {
    fn limits(&self, n_instances: usize) -> Limits {
        Limits {
            max_rows: self.batch.max_rows,
            max_delay: self.batch.max_delay,
            queue: self.queue,
            time_limit: self.default_timeout,
            n_instances,
        }
    }
}

/// One loaded version of a model that answers requests.
#[derive(Debug)]
pub(crate) struct Variant {
    default_timeout: Option<Duration>,
    execution: Execution,
    max_delay: Option<Duration>,
    max_rows: usize,
    company: Company,
    gate: Arc<Gate>,
    executor: Arc<Executor>,
}

impl Variant {
    /// Starts one thread for each session. `curve` is what runs are known to cost.
    ///
    /// # Errors
    /// `internal` when there is no session, or the operating system has no thread to give.
    pub(crate) fn start(
        info: SharedModelInfo,
        sessions: Vec<Box<dyn Session>>,
        settings: VariantSettings,
        curve: Curve,
        observe: Arc<dyn Observe>,
    ) -> Result<Arc<Self>> {
        if sessions.is_empty() {
            return Err(Error::internal("a variant needs a session to run on"));
        }
        let statistics = Statistics::new(info.model.clone(), info.version.clone());
        let n_instances = sessions.len();
        let executor = Arc::new(Executor {
            cost: CostCurve::new(&curve),
            pool: Pool::new(settings.limits(n_instances), curve, sessions),
            statistics,
            observe,
            info,
        });
        let variant = Arc::new(Self {
            default_timeout: settings.default_timeout,
            execution: settings.execution,
            max_delay: settings.batch.max_delay,
            max_rows: settings.batch.max_rows,
            company: Company::new(time::Instant::now().into_std()),
            gate: Arc::default(),
            executor: Arc::clone(&executor),
        });
        for index in 0..n_instances {
            executor.start(index).map_err(|error| {
                Error::internal(format!("no thread for instance {index}: {error}"))
            })?;
        }
        Ok(variant)
    }

    /// What is known about the version.
    pub(crate) fn info(&self) -> &SharedModelInfo {
        &self.executor.info
    }

    /// Answers a request. Dropping the future cancels it.
    ///
    /// # Errors
    /// `invalid_request`, `queue_full`, `overloaded`, `model_not_ready`, `deadline_exceeded`, `engine_failed`,
    /// `engine_lost`, `internal`.
    pub(crate) async fn infer(self: &Arc<Self>, request: InferRequest) -> Result<InferResponse> {
        let mut flight = Flight::new(self);
        let result = self.answer(request, &mut flight).await;
        flight.land(&result);
        result
    }

    /// Refuses a request that is not decoded yet, where any as urgent would be refused. A refusal is
    /// told like every other.
    ///
    /// # Errors
    /// `overloaded`.
    pub(crate) fn refuse_early(&self, urgency: Urgency) -> Result<()> {
        // What its caller runs at once is not predicted.
        if self.is_short(1) {
            return Ok(());
        }
        let now = time::Instant::now().into_std();
        let deadline = admission::deadline(Some(urgency.deadline), self.default_timeout, now);
        // What is late already is told otherwise.
        let Ok(Some(deadline)) = deadline else {
            return Ok(());
        };
        let urgency = Urgency {
            deadline,
            ..urgency
        };
        let Err(refused) = self.executor.pool.refuse_early(urgency, now) else {
            return Ok(());
        };
        let refused = Err(admission::refused(&self.executor.info, refused));
        Flight::new(self).land(&refused);
        refused.map(|_| ())
    }

    async fn answer(
        &self,
        request: InferRequest,
        flight: &mut Flight<'_>,
    ) -> Result<InferResponse> {
        let fitting = admission::fit(&self.executor.info, request.inputs, &request.outputs)?;
        let started = flight.started();
        let deadline = admission::deadline(request.deadline, self.default_timeout, started)?;
        let positions = fitting.outputs.clone();
        let n_rows = fitting.n_rows;
        let work = Work {
            inputs: fitting.inputs,
            outputs: fitting.outputs,
        };
        let permit = self.gate.enter();
        let is_short = self.is_short(n_rows);
        let has_company = is_short && self.has_company(fitting.layout.is_some(), started);
        if is_short
            && !has_company
            && let Some(instance) = self.executor.pool.take_idle(n_rows, started)
        {
            flight.admitted(permit, n_rows);
            let answer = self.executor.run_here(instance, &work, n_rows, started)?;
            return Ok(self.response(&positions, answer));
        }
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            n_rows,
            layout: fitting.layout,
            priority: request.priority,
            arrived: started,
            deadline,
            request: Job { work, reply },
        };
        let ticket = self.submit(waiting, !has_company)?;
        flight.admitted(permit, n_rows);
        if has_company {
            tokio::task::yield_now().await;
            self.executor.run_due_here();
        }
        let deadline = deadline.map(time::Instant::from_std);
        let answer = ticket.redeem(answer, deadline).await?;
        Ok(self.response(&positions, answer))
    }

    /// Whether a run of so many rows is short enough for the thread of the caller.
    fn is_short(&self, n_rows: usize) -> bool {
        let estimate = self.executor.cost.estimate(n_rows);
        self.execution.allows_inline(estimate)
    }

    /// Whether others are likely to be ready on the thread of this caller, and the largest batch is
    /// short enough for it too.
    fn has_company(&self, can_be_joined: bool, now: Instant) -> bool {
        let is_delayed = self.max_delay.is_some_and(|delay| !delay.is_zero());
        let is_near = self.company.arrive(now);
        is_near && can_be_joined && self.max_rows > 1 && !is_delayed && self.is_short(self.max_rows)
    }

    fn submit(&self, waiting: Waiting<Job>, needs_thread: bool) -> Result<Ticket<'_>> {
        let pool = &self.executor.pool;
        let refused = |refused| admission::refused(&self.executor.info, refused);
        let admitted = pool.submit(waiting, needs_thread).map_err(refused)?;
        for displaced in admitted.displaced {
            let error = admission::displaced(&self.executor.info, admitted.level);
            // The caller may have gone away, which is no failure.
            drop(displaced.request.reply.send(Err(error)));
        }
        Ok(Ticket {
            pool,
            place: admitted.place,
            is_answered: false,
        })
    }

    fn response(&self, positions: &[usize], answer: Answer) -> InferResponse {
        let mut outputs = Vec::with_capacity(positions.len());
        for (&position, tensor) in positions.iter().zip(answer.outputs) {
            if let Some(spec) = self.executor.info.signature.outputs.get(position) {
                let name = spec.name.clone();
                outputs.push(NamedTensor { name, tensor });
            }
        }
        InferResponse {
            info: Arc::clone(&self.executor.info),
            outputs,
            timings: answer.timings,
        }
    }

    /// How requests are scheduled right now.
    pub(crate) fn scheduling(&self) -> Scheduling {
        let outlook = self.executor.pool.outlook();
        let estimate = self.executor.cost.estimate(1);
        let (place, place_reason) = self.execution.place(estimate, self.max_delay);
        Scheduling {
            place,
            place_reason,
            curve: outlook.curve,
            efficient_rows: outlook.efficient_rows,
            batch_rows: outlook.batch_rows,
            hold: outlook.hold.unwrap_or_default(),
            max_queue_rows: outlook.max_queue_rows,
            n_queued_rows: outlook.n_queued_rows,
            predicted_wait: outlook.predicted_wait,
            admission_level: outlook.admission_level,
        }
    }

    /// What the version has done so far.
    pub(crate) fn statistics(&self) -> VersionStatistics {
        self.executor.statistics.snapshot()
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
        self.executor.pool.close();
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
