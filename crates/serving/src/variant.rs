//! A variant: one loaded version of a model that answers requests.
//!
//! Decision: where a request runs follows from the measured cost of its size. A short run happens on
//! the thread of its caller, when a session is idle and nobody is ahead: two hand-offs would cost
//! more than the run. A model whose cost depends on values, or whose run was once too long for such
//! a thread, gets threads of its own. While such requests follow each other closely, each lets the other connections of its
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
mod ticket;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use contract::{
    AdmissionLevel, Error, InferRequest, InferResponse, NamedTensor, Observe, Result, Scheduling,
    Session, SharedModelInfo, Urgency, VersionStatistics,
};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission::{self, Gate};
use crate::batch::curve::Curve;
use crate::batch::policy::exchange::{Limits, QueueLimit};
use crate::batch::queue::Waiting;
use crate::instance::company::Company;
use crate::instance::cost::{CostCurve, RunSize};
use crate::instance::executor::Executor;
use crate::instance::overrun::FirstOverrun;
use crate::instance::part::Part;
use crate::instance::pool::Pool;
use crate::instance::verification::{Verification, Verifier};
use crate::instance::watch::{RunWatch, WatchedSession};
use crate::instance::watchdog::Watchdog;
use crate::instance::{Answer, Job, Work};
use crate::statistics::Statistics;
use flight::Flight;
pub(crate) use place::Execution;
use place::Hazards;
use ticket::Ticket;

/// How requests are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The most rows of a batch; 1 turns joining off.
    pub(crate) max_rows: usize,
    /// The longest that an idle instance waits for company; `None` leaves it to the scheduler.
    pub(crate) max_delay: Option<Duration>,
    /// Whether joined requests are verified.
    pub(crate) verification: Verification,
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
    /// The longest that a run may take.
    pub(crate) run_timeout: Duration,
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
        let now = time::Instant::now().into_std();
        let told = Arc::clone(&observe);
        let limit = settings.run_timeout;
        let watch = RunWatch::new(Arc::clone(&info), told, limit, &sessions, now);
        let sessions = WatchedSession::all(&watch, sessions);
        let executor = Arc::new(Executor {
            cost: CostCurve::new(&curve, &info),
            watch,
            overrun: FirstOverrun::default(),
            pool: Pool::new(settings.limits(n_instances), curve, sessions),
            statistics,
            observe,
            info,
            verifier: Verifier::new(settings.batch.verification),
            unbatched: OnceLock::new(),
        });
        let variant = Arc::new(Self {
            default_timeout: settings.default_timeout,
            execution: settings.execution,
            max_delay: settings.batch.max_delay,
            max_rows: settings.batch.max_rows,
            company: Company::new(now),
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
        self.executor.current_info()
    }

    /// Lets a watchdog look after the runs.
    pub(crate) fn watched_by(&self, watchdog: &Watchdog) {
        watchdog.watch(&self.executor);
    }

    /// Why none of the instances can run anything for now; `None` while one can.
    pub(crate) fn stuck_reason(&self) -> Option<String> {
        let watch = &self.executor.watch;
        watch.is_stuck().then(|| watch.reason())
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
        if self.allows_inline(self.executor.cost.one_row()) {
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
        let fitting = admission::fit(self.info(), request.inputs, &request.outputs)?;
        if self.executor.watch.is_stuck() {
            return Err(self.executor.watch.refusal());
        }
        let started = flight.started();
        let deadline = admission::deadline(request.deadline, self.default_timeout, started)?;
        let positions = fitting.outputs.clone();
        let n_rows = fitting.n_rows;
        let work = Work {
            inputs: fitting.inputs,
            outputs: fitting.outputs,
        };
        let permit = self.gate.enter();
        let size = RunSize::new(n_rows, &work.inputs);
        let is_short = self.is_short(size);
        let can_be_joined = fitting.layout.is_some();
        let has_company = is_short && self.has_company(can_be_joined, size, started);
        if is_short
            && !has_company
            && let Some(instance) = self.executor.pool.take_idle(n_rows, started)
        {
            flight.admitted(permit, n_rows);
            let part = Part {
                work: &work,
                n_rows,
                arrived: started,
                deadline,
            };
            let answer = self.executor.run_here(instance, part)?;
            return Ok(self.response(&positions, answer));
        }
        let (reply, answer) = oneshot::channel();
        let is_short = is_short && (!can_be_joined || self.is_short_in_company(size));
        let waiting = Waiting {
            n_rows,
            layout: fitting.layout,
            priority: request.priority,
            arrived: started,
            deadline,
            request: Job {
                work,
                is_short,
                reply,
            },
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

    /// Whether a run of this size is short enough for the thread of the caller.
    fn is_short(&self, size: RunSize) -> bool {
        self.allows_inline(self.executor.cost.estimate(size))
    }

    /// Whether the largest batch of requests of this size is short enough for it too.
    fn is_short_in_company(&self, size: RunSize) -> bool {
        self.is_short(size.with_rows(self.max_rows))
    }

    fn allows_inline(&self, estimate: Option<Duration>) -> bool {
        self.execution.allows_inline(estimate, &self.hazards())
    }

    fn hazards(&self) -> Hazards<'_> {
        Hazards {
            data_dependent_cost: self.executor.info.data_dependent_cost.as_deref(),
            overrun: self.executor.overrun.get(),
        }
    }

    /// Whether others are likely to be ready on the thread of this caller, and the largest batch is
    /// short enough for it too.
    fn has_company(&self, can_be_joined: bool, size: RunSize, now: Instant) -> bool {
        let is_delayed = self.max_delay.is_some_and(|delay| !delay.is_zero());
        let is_near = self.company.arrive(now);
        let is_possible = can_be_joined && self.max_rows > 1 && !is_delayed;
        is_near && is_possible && self.is_short_in_company(size)
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
        Ok(Ticket::new(pool, admitted.place))
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
            info: Arc::clone(self.info()),
            outputs,
            timings: answer.timings,
        }
    }

    /// How requests are scheduled right now.
    pub(crate) fn scheduling(&self) -> Scheduling {
        let outlook = self.executor.pool.outlook();
        let estimate = self.executor.cost.one_row();
        let hazards = self.hazards();
        let (place, place_reason) = self.execution.place(estimate, self.max_delay, &hazards);
        // Nothing is answered while no instance can run.
        let is_stuck = self.executor.watch.is_stuck();
        Scheduling {
            place,
            place_reason,
            curve: outlook.curve,
            efficient_rows: outlook.efficient_rows,
            batch_rows: outlook.batch_rows,
            hold: outlook.hold.unwrap_or_default(),
            max_queue_rows: outlook.max_queue_rows,
            n_queued_rows: outlook.n_queued_rows,
            predicted_wait: outlook.predicted_wait.filter(|_| !is_stuck),
            admission_level: match is_stuck {
                true => AdmissionLevel::Nobody,
                false => outlook.admission_level,
            },
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

    /// Asks the engine to end every run, because the server ends.
    pub(crate) fn end_runs(&self) {
        self.executor.watch.end_all();
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

#[cfg(test)]
mod tests;
