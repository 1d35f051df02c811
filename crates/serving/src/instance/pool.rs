//! The place where requests wait and instances come for batches: the scheduler behind a mutex.
//!
//! Decision: one mutex for each variant, held for the decision only. Engines run, answers are sent
//! and observers are called outside it, and a sleeping thread is woken only when there is one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::time;

use super::Job;
use crate::admission::deadline_exceeded;
use crate::batch::policy::{Limits, Refusal, Scheduler, Step};
use crate::batch::queue::{Place, Waiting};

/// Waiting requests and the instances that take them.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler<Job>,
    n_sleeping: usize,
}

impl Pool {
    /// A pool without requests, whose instances are about to come.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                scheduler: Scheduler::new(limits),
                n_sleeping: 0,
            }),
            wake: Condvar::new(),
        }
    }

    /// Puts a request in line.
    pub(crate) fn submit(&self, waiting: Waiting<Job>) -> Result<Place, Refusal> {
        let mut state = self.lock();
        let place = state.scheduler.arrive(waiting)?;
        self.wake_one(state);
        Ok(place)
    }

    /// Takes a request out of line. Gives whether it was still waiting.
    pub(crate) fn cancel(&self, place: Place) -> bool {
        self.lock().scheduler.cancel(place).is_some()
    }

    /// The first batch of an instance; `None` when nothing will come any more. Blocks.
    pub(crate) fn take_first(&self) -> Option<Vec<Waiting<Job>>> {
        self.take(self.lock())
    }

    /// The next batch of an instance that has run one. Blocks.
    pub(crate) fn take_next(&self) -> Option<Vec<Waiting<Job>>> {
        let mut state = self.lock();
        state.scheduler.instance_freed();
        self.take(state)
    }

    fn take<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<Vec<Waiting<Job>>> {
        loop {
            match state.scheduler.next(time::Instant::now().into_std()) {
                Step::Run(batch) => {
                    if state.scheduler.has_waiting() {
                        self.wake_one(state);
                    }
                    return Some(batch);
                }
                Step::Expire(expired) => {
                    drop(state);
                    expire(expired);
                    state = self.lock();
                }
                Step::HoldUntil(until) => state = self.sleep(state, Some(until)),
                Step::Wait => state = self.sleep(state, None),
                Step::End => return None,
            }
        }
    }

    /// An instance is gone. Gives the requests that nobody can run any more.
    pub(crate) fn instance_lost(&self) -> Vec<Waiting<Job>> {
        self.lock().scheduler.instance_lost()
    }

    /// Takes nothing new; instances end once nobody waits.
    pub(crate) fn close(&self) {
        self.lock().scheduler.close();
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_one(&self, state: MutexGuard<'_, State>) {
        let is_anyone_asleep = state.n_sleeping > 0;
        drop(state);
        if is_anyone_asleep {
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

fn expire(expired: Vec<Waiting<Job>>) {
    for waiting in expired {
        // The caller may have gone away, which is no failure.
        drop(waiting.request.reply.send(Err(deadline_exceeded())));
    }
}
