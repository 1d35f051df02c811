//! Runs batches on one session, and isolates the failing request when a batch fails.
//!
//! Rule: a batch of several that fails is run again request by request, once, so that a failure
//! stays with the request that causes it. A panic of the engine counts as a failed run, and the
//! session continues. A session that reports that it is lost ends its thread, and its batch with
//! it.

mod run_report;
pub(crate) mod verification;

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};
use std::{io, thread};

use contract::{Code, Error, Event, Observe, Result, Session, SharedModelInfo, Tensor, Timings};
use smallvec::SmallVec;
use tokio::time;

use super::cost::{CostCurve, RunSize};
use super::overrun::{FirstOverrun, InlineRun};
use super::part::{Part, latest_deadline};
use super::pool::{AssignedBatch, Instance, Pool};
use super::stopwatch::Stopwatch;
use super::thread_name::thread_name;
use super::watch::{RunWatch, Sight, WatchedSession};
use super::{Answer, Job};
use crate::admission::no_instance;
use crate::batch::join::{join_inputs, join_outputs};
use crate::batch::policy::types::RunReport;
use crate::batch::queue::QueuedRequest;
use crate::batch::split::{BatchOutputs, Share};
use crate::counters::VersionCounters;
use run_report::{ended, report, with_deadlines};
use verification::Verifier;

/// The state that the instances of a loaded version share.
#[derive(Debug)]
pub(crate) struct Executor {
    /// The description of the version.
    pub(crate) info: SharedModelInfo,
    /// The source of batches and idle sessions.
    pub(crate) pool: Pool,
    /// The measured run times.
    pub(crate) cost: CostCurve,
    /// The runs in progress.
    pub(crate) watch: Arc<RunWatch>,
    /// The first run that was too long for the thread of its caller.
    pub(crate) overrun: FirstOverrun,
    /// The counters of the version.
    pub(crate) counters: VersionCounters,
    /// The receiver of telemetry events.
    pub(crate) observe: Arc<dyn Observe>,
    /// The check that batched requests get the same answers as alone.
    pub(crate) verifier: Verifier,
    /// The version without batching, once batching was found to change answers.
    pub(crate) unbatched: OnceLock<SharedModelInfo>,
    /// True if callers may read the diagnostics of failed runs.
    pub(crate) exposes_engine_errors: bool,
}

/// The session cannot continue, for this reason.
#[derive(Debug)]
pub(super) struct SessionLost(pub(super) Error);

/// Guard that leaves the pool when the thread ends, for whatever reason.
#[derive(Debug)]
struct InstanceGuard<'a> {
    executor: &'a Executor,
    /// The instance that is running.
    slot: Option<usize>,
}

impl Drop for InstanceGuard<'_> {
    fn drop(&mut self) {
        for waiting in self.executor.pool.instance_lost(self.slot) {
            reply(waiting.request, Err(no_instance(&self.executor.info)));
        }
    }
}

impl Executor {
    /// Starts thread number `index`.
    ///
    /// # Errors
    /// The error of the operating system when it cannot start a thread.
    pub(crate) fn start(self: &Arc<Self>, index: usize) -> io::Result<()> {
        let executor = Arc::clone(self);
        let name = thread_name(&format!("{}/{}", self.info.model, self.info.version), index);
        let builder = thread::Builder::new().name(name);
        builder.spawn(move || executor.run()).map(drop)
    }

    fn run(&self) {
        let mut guard = InstanceGuard {
            executor: self,
            slot: None,
        };
        let mut next = self.pool.take_first();
        while let Some(AssignedBatch {
            batch,
            mut instance,
        }) = next
        {
            guard.slot = Some(instance.slot);
            let session = &mut instance.session;
            let report = self.run_batch(session, batch);
            let report = match report.and_then(|report| self.verify(session).map(|()| report)) {
                Ok(report) => report,
                Err(SessionLost(error)) => return self.log_lost(&error),
            };
            guard.slot = None;
            next = self.pool.take_next(instance, &report);
        }
    }

    fn log_lost(&self, error: &Error) {
        let (model, version) = (&self.info.model, &self.info.version);
        let diagnostic = error.diagnostic();
        tracing::error!(%model, %version, %error, diagnostic, "lost model instance");
    }

    /// Ends runs that took too long. Refuses waiting requests while no instance could run them.
    pub(crate) fn look_after_runs(&self, now: Instant) -> Sight {
        let sight = self.watch.look(now);
        if sight.is_stuck {
            for waiting in self.pool.drain() {
                reply(waiting.request, Err(self.watch.refusal()));
            }
        }
        sight
    }

    /// Runs one request on an idle session, on the thread of its caller.
    ///
    /// # Errors
    /// `deadline_exceeded`, `engine_failed`, `engine_lost`, `internal`.
    pub(crate) fn run_inline(&self, mut instance: Instance, part: Part<'_>) -> Result<Answer> {
        let run = InlineRun::start(part.arrived);
        let result = self.attempt(&mut instance.session, &[part]);
        let now = self.end_inline(run);
        match &result {
            Err(error) if error.code() == Code::EngineLost => self.remove_lost(instance, error),
            Ok(answers) => self.pool.release(instance, &report(answers), now),
            Err(_) => {
                let report = ended(&instance.session, part.n_rows);
                self.pool.release(instance, &report, now);
            }
        }
        result.and_then(|answers| {
            let answer = answers.into_iter().next();
            answer.ok_or_else(|| Error::internal("run returned no answer"))
        })
    }

    /// Runs the batch that is due, on the thread of a caller, and answers all of it.
    pub(crate) fn run_due_inline(self: &Arc<Self>) {
        let Some(AssignedBatch {
            batch,
            mut instance,
        }) = self.pool.take_due()
        else {
            return;
        };
        let run = InlineRun::start(time::Instant::now().into_std());
        let result = self.run_batch(&mut instance.session, batch);
        let now = self.end_inline(run);
        match result {
            Ok(report) => {
                self.pool.release(instance, &report, now);
                self.verify_elsewhere();
            }
            Err(SessionLost(error)) => self.remove_lost(instance, &error),
        }
    }

    /// Records a run on the thread of a caller that ends now. Returns the time.
    fn end_inline(&self, run: InlineRun) -> Instant {
        let now = time::Instant::now().into_std();
        let overrun = run.overrun(now);
        if let Some(elapsed) = overrun.filter(|&elapsed| self.overrun.record(elapsed)) {
            let (model, version) = (&self.info.model, &self.info.version);
            tracing::warn!(%model, %version, ?elapsed, "run on I/O thread took too long");
        }
        now
    }

    /// Removes an instance that cannot continue.
    pub(super) fn remove_lost(&self, instance: Instance, error: &Error) {
        self.log_lost(error);
        let slot = Some(instance.slot);
        drop(instance);
        drop(InstanceGuard {
            executor: self,
            slot,
        });
    }

    /// Runs a batch and answers all of it.
    fn run_batch(
        &self,
        session: &mut WatchedSession,
        batch: Vec<QueuedRequest<Job>>,
    ) -> Result<RunReport, SessionLost> {
        let jobs = without_cancelled(batch);
        if jobs.is_empty() {
            return Ok(RunReport::default());
        }
        if jobs.len() > 1 && self.unbatched.get().is_some() {
            return self.run_individually(session, jobs);
        }
        let parts: SmallVec<[_; 1]> = jobs.iter().map(Part::of).collect();
        let attempt = self.attempt(session, &parts);
        drop(parts);
        let error = match attempt {
            Ok(answers) => {
                let report = with_deadlines(report(&answers), &jobs);
                self.verifier.offer(&jobs, &answers);
                for (job, answer) in jobs.into_iter().zip(answers) {
                    reply(job.request, Ok(answer));
                }
                return Ok(report);
            }
            Err(error) => error,
        };
        let is_lost = error.code() == Code::EngineLost;
        // Run alone, the requests of a terminated run would only take as long again.
        if jobs.len() > 1 && !is_lost && session.terminated_after().is_none() {
            return self.run_individually(session, jobs);
        }
        let n_rows = jobs.iter().map(|job| job.n_rows).sum();
        let report = match session.terminated_after() {
            Some(_) => with_deadlines(ended(session, n_rows), &jobs),
            None => RunReport::default(),
        };
        reply_all(jobs, &error);
        match is_lost {
            true => Err(SessionLost(error)),
            false => Ok(report),
        }
    }

    fn run_individually(
        &self,
        session: &mut WatchedSession,
        jobs: Vec<QueuedRequest<Job>>,
    ) -> Result<RunReport, SessionLost> {
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(SessionLost(error)) = self.run_batch(session, vec![job]) {
                reply_all(jobs.collect(), &error);
                return Err(SessionLost(error));
            }
        }
        Ok(RunReport::default())
    }

    /// Joins the inputs, runs them and splits the outputs, once.
    fn attempt(&self, session: &mut WatchedSession, parts: &[Part<'_>]) -> Result<Vec<Answer>> {
        let mut clock = Stopwatch::start();
        let started = clock.at();
        let batch_rows = parts.iter().map(|part| part.n_rows).sum();
        let inputs: SmallVec<[_; 1]> = parts.iter().map(|part| &*part.work.inputs).collect();
        let inputs = join_inputs(&inputs)?;
        let outputs: SmallVec<[_; 1]> = parts.iter().map(|part| &*part.work.outputs).collect();
        let outputs = join_outputs(&outputs);
        let compute_input = clock.lap();

        let deadline = latest_deadline(parts);
        let tensors = session.run(started, deadline, |session| {
            self.call(session, &inputs, &outputs)
        });
        let compute = clock.lap();
        let size = RunSize::new(batch_rows, &inputs);
        if tensors.is_ok() || session.terminated_after().is_some() {
            self.cost.observe(size, compute);
        }
        let tensors = tensors?;

        let tensors = BatchOutputs::new(&self.info.signature, &outputs, tensors)?;
        if parts.len() > 1
            && let Err(error) = tensors.check_rows(batch_rows)
        {
            self.joining_differs(error.message());
            return Err(error);
        }
        let shares: SmallVec<[_; 1]> = parts.iter().map(share).collect();
        let split = tensors.split(&shares)?;
        let timings = Timings {
            compute_input,
            compute,
            compute_output: clock.lap(),
            batch_rows,
            ..Timings::default()
        };
        self.record_run(&timings, parts.len());
        Ok(answers(parts, split, started, timings))
    }

    pub(super) fn call(
        &self,
        session: &mut dyn Session,
        inputs: &[Option<Tensor>],
        outputs: &[usize],
    ) -> Result<Vec<Tensor>> {
        // A session stays valid after a failed run, and a panic counts as one.
        let run = AssertUnwindSafe(|| session.run(inputs, outputs));
        let ran = panic::catch_unwind(run).map(|result| match self.exposes_engine_errors {
            true => result.map_err(Error::with_exposed_diagnostic),
            false => result,
        });
        ran.unwrap_or_else(|panic| {
            let (model, version) = (&self.info.model, &self.info.version);
            let text = panic_text(&*panic);
            tracing::error!(%model, %version, panic = text, "engine panicked");
            let message = format!("the engine of model `{model}` panicked; the log says why");
            Err(Error::new(Code::EngineFailed, message).with_diagnostic(text))
        })
    }

    fn record_run(&self, timings: &Timings, n_requests: usize) {
        self.counters.record_execution(timings, SystemTime::now());
        self.observe.observe(&Event::BatchExecuted {
            model: &self.info.model,
            version: &self.info.version,
            n_rows: timings.batch_rows,
            n_requests,
            compute: timings.compute,
        });
    }
}

/// Returns the requests whose callers still wait; the others need not run.
fn without_cancelled(batch: Vec<QueuedRequest<Job>>) -> Vec<QueuedRequest<Job>> {
    let mut jobs = batch;
    jobs.retain(|job| !job.request.reply.is_closed());
    jobs
}

fn share<'a>(part: &Part<'a>) -> Share<'a> {
    Share {
        n_rows: part.n_rows,
        outputs: &part.work.outputs,
    }
}

fn answers(
    parts: &[Part<'_>],
    split: Vec<Vec<Tensor>>,
    started: Instant,
    timings: Timings,
) -> Vec<Answer> {
    let answer = |(part, outputs): (&Part<'_>, Vec<Tensor>)| Answer {
        outputs,
        timings: Timings {
            queue: started.saturating_duration_since(part.arrived),
            ..timings
        },
    };
    parts.iter().zip(split).map(answer).collect()
}

fn reply(job: Job, answer: Result<Answer>) {
    // The caller may have gone away, which is no failure.
    drop(job.reply.send(answer));
}

fn reply_all(jobs: Vec<QueuedRequest<Job>>, error: &Error) {
    for job in jobs {
        reply(job.request, Err(error.clone()));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}
