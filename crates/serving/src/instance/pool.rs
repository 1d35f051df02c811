//! The pool of waiting requests and idle sessions: the scheduler behind a mutex.
//!
//! Decision: one mutex for each loaded version, held for the decision only. Engines run, answers
//! are sent and observers are called outside it, and a sleeping thread is woken only when there is
//! one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use contract::{AdmissionLevel, Urgency};
use tokio::time;

use super::Job;
use super::watch::WatchedSession;
use crate::admission;
use crate::batch::curve::Curve;
use crate::batch::policy::Scheduler;
use crate::batch::policy::types::{
    Admitted, Batch, Decision, Limits, Refusal, Refused, RunReport, SchedulerSnapshot,
};
use crate::batch::queue::{QueueKey, QueuedRequest};

/// Pool of waiting requests, idle sessions, and the threads that take both.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler<Job>,
    /// The idle sessions, as many as the scheduler counts free instances.
    idle: Vec<WatchedSession>,
    n_sleeping: usize,
}

impl State {
    fn refused(&self, refusal: Refusal, now: Instant) -> Refused {
        Refused {
            refusal,
            level: self.scheduler.admission_level(now),
        }
    }
}

/// A session that is taken, and returned unless it is lost.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The session.
    pub(crate) session: WatchedSession,
    /// Its number at the scheduler, until it is returned.
    pub(crate) slot: usize,
}

/// A batch and the instance to run it on.
#[derive(Debug)]
pub(crate) struct AssignedBatch {
    /// The requests.
    pub(crate) batch: Vec<QueuedRequest<Job>>,
    /// The instance that runs them.
    pub(crate) instance: Instance,
}

impl Pool {
    /// Creates a pool without requests, whose sessions, as many as `limits` states, are all idle.
    pub(crate) fn new(limits: Limits, curve: Curve, sessions: Vec<WatchedSession>) -> Self {
        Self {
            state: Mutex::new(State {
                scheduler: Scheduler::new(limits, curve),
                idle: sessions,
                n_sleeping: 0,
            }),
            wake: Condvar::new(),
        }
    }

    /// Queues a request. Returns its key, and less urgent requests that were displaced. A caller
    /// that will ask for a batch itself needs no thread to be woken.
    pub(crate) fn submit(
        &self,
        waiting: QueuedRequest<Job>,
        needs_thread: bool,
    ) -> Result<Admitted<Job>, Refused> {
        let now = waiting.arrived;
        let mut state = self.lock();
        let admitted = match state.scheduler.admit(waiting) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(state.refused(refusal, now)),
        };
        if needs_thread {
            self.wake_one(state);
        }
        Ok(admitted)
    }

    /// Refuses a request that is about to arrive and would be refused for its deadline.
    pub(crate) fn refuse_early(&self, urgency: Urgency, now: Instant) -> Result<(), Refused> {
        let mut state = self.lock();
        let refused = state.scheduler.refuse_early(urgency, now);
        refused.map_err(|refusal| state.refused(refusal, now))
    }

    /// Removes a request. Returns whether it was still waiting.
    pub(crate) fn cancel(&self, key: QueueKey) -> bool {
        self.lock().scheduler.cancel(key).is_some()
    }

    /// Takes an idle instance for a request of so many rows that arrived `now` with no request
    /// ahead, to be run by its caller.
    pub(crate) fn take_idle(&self, n_rows: usize, now: Instant) -> Option<Instance> {
        let mut state = self.lock();
        let slot = state.scheduler.take_free(n_rows, now)?;
        let session = state.idle.pop()?;
        Some(Instance { session, slot })
    }

    /// Returns the instance of a finished run to the pool.
    pub(crate) fn release(&self, instance: Instance, report: &RunReport, now: Instant) {
        let mut state = self.lock();
        state.idle.push(instance.session);
        state.scheduler.finish_run(instance.slot, report, now);
        if state.scheduler.has_waiting() {
            self.wake_one(state);
        }
    }

    /// Takes the first batch of a thread; `None` when nothing more will come. Blocks.
    pub(crate) fn take_first(&self) -> Option<AssignedBatch> {
        self.take(self.lock())
    }

    /// Returns the instance of the last batch to the pool, and takes the next batch. Blocks.
    pub(crate) fn take_next(
        &self,
        instance: Instance,
        report: &RunReport,
    ) -> Option<AssignedBatch> {
        let now = time::Instant::now().into_std();
        let mut state = self.lock();
        state.idle.push(instance.session);
        state.scheduler.finish_run(instance.slot, report, now);
        self.take(state)
    }

    /// Takes the batch that is due now, for a thread that does not wait for one. A batch that is
    /// not due, or too long for the thread of a caller, is left to the threads of the pool.
    pub(crate) fn take_due(&self) -> Option<AssignedBatch> {
        let mut state = self.lock();
        loop {
            let now = time::Instant::now().into_std();
            match state.scheduler.next_if(now, |job| job.is_short) {
                Decision::Run(batch) => return self.assign(state, batch),
                Decision::Drop(dropped) => {
                    let level = state.scheduler.admission_level(now);
                    drop(state);
                    reject_dropped(dropped, level);
                    state = self.lock();
                }
                Decision::HoldUntil(_) | Decision::Wait | Decision::End => {
                    if state.scheduler.has_waiting() {
                        self.wake_one(state);
                    }
                    return None;
                }
            }
        }
    }

    /// Assigns a session to a batch. The scheduler forms a batch only for a free instance.
    fn assign(&self, mut state: MutexGuard<'_, State>, batch: Batch<Job>) -> Option<AssignedBatch> {
        let session = state.idle.pop()?;
        if state.scheduler.has_waiting() {
            self.wake_one(state);
        }
        let slot = batch.slot;
        Some(AssignedBatch {
            batch: batch.requests,
            instance: Instance { session, slot },
        })
    }

    fn take<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<AssignedBatch> {
        loop {
            let now = time::Instant::now().into_std();
            match state.scheduler.next(now) {
                Decision::Run(batch) => return self.assign(state, batch),
                Decision::Drop(dropped) => {
                    let level = state.scheduler.admission_level(now);
                    drop(state);
                    reject_dropped(dropped, level);
                    state = self.lock();
                }
                Decision::HoldUntil(until) => state = self.sleep(state, Some(until)),
                Decision::Wait => state = self.sleep(state, None),
                Decision::End => {
                    // Each thread that ends takes a session with it, whose memory is released now.
                    let session = state.idle.pop();
                    drop(state);
                    drop(session);
                    return None;
                }
            }
        }
    }

    /// Removes an instance: this one, or any when its thread had none. Returns the requests that no
    /// instance can run any more.
    pub(crate) fn instance_lost(&self, slot: Option<usize>) -> Vec<QueuedRequest<Job>> {
        self.lock().scheduler.instance_lost(slot)
    }

    /// Removes all requests.
    pub(crate) fn drain(&self) -> Vec<QueuedRequest<Job>> {
        self.lock().scheduler.drain()
    }

    /// Returns the measurements, and the sizes and predictions that follow from them.
    pub(crate) fn snapshot(&self) -> SchedulerSnapshot {
        let now = time::Instant::now().into_std();
        self.lock().scheduler.snapshot(now)
    }

    /// Returns the number of threads that wait for a batch.
    #[cfg(test)]
    pub(crate) fn n_sleeping(&self) -> usize {
        self.lock().n_sleeping
    }

    /// Stops admission; instances end once no request waits.
    pub(crate) fn close(&self) {
        self.lock().scheduler.close();
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_one(&self, state: MutexGuard<'_, State>) {
        let has_sleeping_thread = state.n_sleeping > 0;
        drop(state);
        if has_sleeping_thread {
            self.wake.notify_one();
        }
    }

    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        state.n_sleeping += 1;
        let mut state = match until {
            None => self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let rest = until.saturating_duration_since(time::Instant::now().into_std());
                let woken = self.wake.wait_timeout(state, rest);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.n_sleeping -= 1;
        state
    }
}

fn reject_dropped(dropped: Vec<QueuedRequest<Job>>, level: AdmissionLevel) {
    for waiting in dropped {
        let error = match waiting.deadline {
            Some(_) => admission::deadline_exceeded(),
            None => admission::waited_too_long(level),
        };
        // The caller may have gone away, which is no failure.
        drop(waiting.request.reply.send(Err(error)));
    }
}
