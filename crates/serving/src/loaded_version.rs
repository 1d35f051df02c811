//! A loaded version: one version of a model in memory that answers requests.
//!
//! Decision: the measured cost of its size decides where a request runs. A short run happens on the
//! thread of its caller, when a session is idle and no request is queued ahead: two hand-offs would
//! cost more than the run. A model whose cost depends on values, or whose run was once too long for
//! such a thread, runs on its own threads. While short requests follow each other closely, each
//! lets the other connections of its thread go first, and the first that continues runs all of them
//! as one batch. All other requests run on threads of the model, one for each session, and wait for
//! the answer on a one-shot channel.
//!
//! The cost of one request besides its tensors: it allocates the lists of its inputs and outputs,
//! and locks the statistics twice. Run by its caller, it locks the mutex of the pool to take a
//! session and to return it. Queued, it allocates a one-shot channel and a node in the queue; it
//! locks the mutex once to enter, its batch locks it once to leave; it wakes a thread when one
//! sleeps, and that thread wakes its task. A deadline adds one timer. No lock is held over an
//! `.await`, and no request waits for the observer.

mod execution;
mod pending_answer;
mod request_guard;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use contract::{
    AdmissionLevel, Error, InferRequest, InferResponse, NamedTensor, Observe, Result, Scheduling,
    Session, SharedModelInfo, Urgency, VersionStatistics,
};
use tokio::sync::oneshot;
use tokio::time;

use crate::admission::{self, InFlightCounter};
use crate::batch::curve::Curve;
use crate::batch::policy::types::{Limits, QueueLimit};
use crate::batch::queue::QueuedRequest;
use crate::counters::VersionCounters;
use crate::instance::coalescing::ArrivalGap;
use crate::instance::cost::{CostCurve, RunSize};
use crate::instance::executor::Executor;
use crate::instance::executor::verification::{Verification, Verifier};
use crate::instance::overrun::FirstOverrun;
use crate::instance::part::Part;
use crate::instance::pool::Pool;
use crate::instance::watch::{RunWatch, WatchedSession};
use crate::instance::watchdog::Watchdog;
use crate::instance::{Answer, Job, Work};
pub(crate) use execution::Execution;
use execution::Hazards;
use pending_answer::PendingAnswer;
use request_guard::RequestGuard;

/// The batching settings of a loaded version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The most rows of a batch; 1 turns batching off.
    pub(crate) max_rows: usize,
    /// The longest batch delay of an idle instance; `None` leaves it to the scheduler.
    pub(crate) max_delay: Option<Duration>,
    /// The verification of batched requests.
    pub(crate) verification: Verification,
}

/// The scheduling settings of a loaded version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SchedulingSettings {
    /// The batching settings.
    pub(crate) batch: BatchSettings,
    /// The most rows that wait; requests that an idle instance takes at once do not count.
    pub(crate) queue: QueueLimit,
    /// The longest that a request may take, whatever its deadline.
    pub(crate) default_timeout: Option<Duration>,
    /// The longest that a run may take.
    pub(crate) run_timeout: Duration,
    /// The threads that requests run on.
    pub(crate) execution: Execution,
    /// True if callers may read the diagnostics of failed runs.
    pub(crate) exposes_engine_errors: bool,
}

impl SchedulingSettings {
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

/// A loaded version of a model that answers requests.
#[derive(Debug)]
pub(crate) struct LoadedVersion {
    default_timeout: Option<Duration>,
    execution: Execution,
    max_delay: Option<Duration>,
    max_rows: usize,
    coalescing: ArrivalGap,
    in_flight: Arc<InFlightCounter>,
    executor: Arc<Executor>,
}

impl LoadedVersion {
    /// Starts one thread for each session. `curve` holds the known run times.
    ///
    /// # Errors
    /// `internal` when there is no session, or the operating system cannot start a thread.
    pub(crate) fn start(
        info: SharedModelInfo,
        sessions: Vec<Box<dyn Session>>,
        settings: SchedulingSettings,
        curve: Curve,
        observe: Arc<dyn Observe>,
    ) -> Result<Arc<Self>> {
        if sessions.is_empty() {
            return Err(Error::internal("a loaded version needs a session"));
        }
        let counters = VersionCounters::new(info.model.clone(), info.version.clone());
        let n_instances = sessions.len();
        let now = time::Instant::now().into_std();
        let observer_of_runs = Arc::clone(&observe);
        let limit = settings.run_timeout;
        let watch = RunWatch::new(Arc::clone(&info), observer_of_runs, limit, &sessions, now);
        let sessions = WatchedSession::all(&watch, sessions);
        let executor = Arc::new(Executor {
            cost: CostCurve::new(&curve, &info),
            watch,
            overrun: FirstOverrun::default(),
            pool: Pool::new(settings.limits(n_instances), curve, sessions),
            counters,
            observe,
            info,
            verifier: Verifier::new(settings.batch.verification),
            unbatched: OnceLock::new(),
            exposes_engine_errors: settings.exposes_engine_errors,
        });
        let loaded_version = Arc::new(Self {
            default_timeout: settings.default_timeout,
            execution: settings.execution,
            max_delay: settings.batch.max_delay,
            max_rows: settings.batch.max_rows,
            coalescing: ArrivalGap::new(now),
            in_flight: Arc::default(),
            executor: Arc::clone(&executor),
        });
        for index in 0..n_instances {
            executor.start(index).map_err(|error| {
                Error::internal(format!("cannot start thread of instance {index}: {error}"))
            })?;
        }
        Ok(loaded_version)
    }

    /// Returns the description of the version.
    pub(crate) fn info(&self) -> &SharedModelInfo {
        self.executor.current_info()
    }

    /// Lets a watchdog check the runs.
    pub(crate) fn watched_by(&self, watchdog: &Watchdog) {
        watchdog.watch(&self.executor);
    }

    /// Returns why no instance can run anything for now; `None` while one can.
    pub(crate) fn stuck_reason(&self) -> Option<String> {
        let watch = &self.executor.watch;
        watch.is_stuck().then(|| watch.reason())
    }

    /// Answers a request. Dropping the future cancels it.
    ///
    /// # Errors
    /// `invalid_request`, `queue_full`, `overloaded`, `model_not_ready`, `deadline_exceeded`,
    /// `engine_failed`, `engine_lost`, `internal`.
    pub(crate) async fn infer(self: &Arc<Self>, request: InferRequest) -> Result<InferResponse> {
        let mut request_guard = RequestGuard::new(self);
        let result = self.execute(request, &mut request_guard).await;
        request_guard.finish(&result);
        result
    }

    /// Refuses a request that is not decoded yet, where any request of its urgency would be
    /// refused. The refusal is counted like any other.
    ///
    /// # Errors
    /// `overloaded`.
    pub(crate) fn refuse_early(&self, urgency: Urgency) -> Result<()> {
        // A request that its caller would run at once has no prediction.
        if self.allows_inline(self.executor.cost.one_row()) {
            return Ok(());
        }
        let now = time::Instant::now().into_std();
        let deadline = admission::deadline(Some(urgency.deadline), self.default_timeout, now);
        // A request that is late already gets its own error after decoding.
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
        RequestGuard::new(self).finish(&refused);
        refused.map(|_| ())
    }

    async fn execute(
        &self,
        request: InferRequest,
        request_guard: &mut RequestGuard<'_>,
    ) -> Result<InferResponse> {
        let validated = admission::validate(self.info(), request.inputs, &request.outputs)?;
        if self.executor.watch.is_stuck() {
            return Err(self.executor.watch.refusal());
        }
        let started = request_guard.started();
        let deadline = admission::deadline(request.deadline, self.default_timeout, started)?;
        let positions = validated.outputs.clone();
        let n_rows = validated.n_rows;
        let work = Work {
            inputs: validated.inputs,
            outputs: validated.outputs,
        };
        let in_flight = self.in_flight.track();
        let size = RunSize::new(n_rows, &work.inputs);
        let is_short = self.is_short(size);
        let can_be_joined = validated.layout.is_some();
        let should_coalesce = is_short && self.should_coalesce(can_be_joined, size, started);
        if is_short
            && !should_coalesce
            && let Some(instance) = self.executor.pool.take_idle(n_rows, started)
        {
            request_guard.mark_admitted(in_flight, n_rows);
            let part = Part {
                work: &work,
                n_rows,
                arrived: started,
                deadline,
            };
            let answer = self.executor.run_inline(instance, part)?;
            return Ok(self.response(&positions, answer));
        }
        let (reply, answer) = oneshot::channel();
        let is_short = is_short && (!can_be_joined || self.is_short_when_joined(size));
        let waiting = QueuedRequest {
            n_rows,
            layout: validated.layout,
            priority: request.priority,
            arrived: started,
            deadline,
            request: Job {
                work,
                is_short,
                reply,
            },
        };
        let pending = self.submit(waiting, !should_coalesce)?;
        request_guard.mark_admitted(in_flight, n_rows);
        if should_coalesce {
            tokio::task::yield_now().await;
            self.executor.run_due_inline();
        }
        let deadline = deadline.map(time::Instant::from_std);
        let answer = pending.wait(answer, deadline).await?;
        Ok(self.response(&positions, answer))
    }

    /// Returns whether a run of this size is short enough for the thread of the caller.
    fn is_short(&self, size: RunSize) -> bool {
        self.allows_inline(self.executor.cost.estimate(size))
    }

    /// Returns whether the largest batch of requests of this size is short enough for it too.
    fn is_short_when_joined(&self, size: RunSize) -> bool {
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

    /// Returns whether other requests are likely to be ready on the thread of this caller, and the
    /// largest batch is short enough for it too.
    fn should_coalesce(&self, can_be_joined: bool, size: RunSize, now: Instant) -> bool {
        let is_delayed = self.max_delay.is_some_and(|delay| !delay.is_zero());
        let is_near = self.coalescing.observe(now);
        let is_possible = can_be_joined && self.max_rows > 1 && !is_delayed;
        is_near && is_possible && self.is_short_when_joined(size)
    }

    fn submit(&self, waiting: QueuedRequest<Job>, needs_thread: bool) -> Result<PendingAnswer<'_>> {
        let pool = &self.executor.pool;
        let refused = |refused| admission::refused(&self.executor.info, refused);
        let admitted = pool.submit(waiting, needs_thread).map_err(refused)?;
        for displaced in admitted.displaced {
            let error = admission::displaced(&self.executor.info, admitted.level);
            // The caller may have gone away, which is no failure.
            drop(displaced.request.reply.send(Err(error)));
        }
        Ok(PendingAnswer::new(pool, admitted.key))
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

    /// Returns the current scheduling of requests.
    pub(crate) fn scheduling(&self) -> Scheduling {
        let snapshot = self.executor.pool.snapshot();
        let estimate = self.executor.cost.one_row();
        let hazards = self.hazards();
        let (execution_target, execution_target_reason) =
            self.execution.target(estimate, self.max_delay, &hazards);
        // Nothing is answered while no instance can run.
        let is_stuck = self.executor.watch.is_stuck();
        Scheduling {
            execution_target,
            execution_target_reason,
            curve: snapshot.curve,
            efficient_rows: snapshot.efficient_rows,
            batch_rows: snapshot.batch_rows,
            hold: snapshot.hold.unwrap_or_default(),
            max_queue_rows: snapshot.max_queue_rows,
            n_queued_rows: snapshot.n_queued_rows,
            predicted_wait: snapshot.predicted_wait.filter(|_| !is_stuck),
            admission_level: match is_stuck {
                true => AdmissionLevel::Closed,
                false => snapshot.admission_level,
            },
        }
    }

    /// Returns the counters of the version.
    pub(crate) fn counters(&self) -> VersionStatistics {
        self.executor.counters.snapshot()
    }

    /// Returns the number of requests admitted and not answered yet.
    pub(crate) fn n_in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// Resolves when nothing is in flight.
    pub(crate) async fn drained(&self) {
        self.in_flight.drained().await;
    }

    /// Asks the engine to end every run, because the server is shutting down.
    pub(crate) fn end_runs(&self) {
        self.executor.watch.end_all();
    }

    /// Stops admission; the threads end once the queue is empty.
    pub(crate) fn stop(&self) {
        self.executor.pool.close();
    }
}

impl Drop for LoadedVersion {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
