//! The place where requests and idle sessions wait: the scheduler behind a mutex.
//!
//! Decision: one mutex for each variant, held for the decision only. Engines run, answers are sent
//! and observers are called outside it, and a sleeping thread is woken only when there is one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use contract::Session;
use tokio::time;

use super::Job;
use crate::admission::deadline_exceeded;
use crate::batch::policy::{Limits, Refusal, Scheduler, Step};
use crate::batch::queue::{Place, Waiting};

/// Waiting requests, idle sessions, and the threads that bring them together.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler<Job>,
    /// As many as the scheduler counts free instances.
    idle: Vec<Box<dyn Session>>,
    n_sleeping: usize,
}

/// A batch and the session to run it on.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The requests.
    pub(crate) batch: Vec<Waiting<Job>>,
    /// To be given back, unless it is lost.
    pub(crate) session: Box<dyn Session>,
}

impl Pool {
    /// A pool without requests, whose sessions, as many as `limits` says, are all idle.
    pub(crate) fn new(limits: Limits, sessions: Vec<Box<dyn Session>>) -> Self {
        Self {
            state: Mutex::new(State {
                scheduler: Scheduler::new(limits),
                idle: sessions,
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

    /// An idle session for a request that nobody is ahead of, to be run by its caller.
    pub(crate) fn take_idle(&self) -> Option<Box<dyn Session>> {
        let mut state = self.lock();
        match state.scheduler.take_free() {
            true => state.idle.pop(),
            false => None,
        }
    }

    /// The session of a run that is over.
    pub(crate) fn give_back(&self, session: Box<dyn Session>) {
        let mut state = self.lock();
        state.idle.push(session);
        state.scheduler.instance_freed();
        if state.scheduler.has_waiting() {
            self.wake_one(state);
        }
    }

    /// The first batch of a thread; `None` when nothing will come any more. Blocks.
    pub(crate) fn take_first(&self) -> Option<Taken> {
        self.take(self.lock())
    }

    /// Gives back the session of the last batch, and takes the next. Blocks.
    pub(crate) fn take_next(&self, session: Box<dyn Session>) -> Option<Taken> {
        let mut state = self.lock();
        state.idle.push(session);
        state.scheduler.instance_freed();
        self.take(state)
    }

    fn take<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<Taken> {
        loop {
            match state.scheduler.next(time::Instant::now().into_std()) {
                Step::Run(batch) => {
                    // The scheduler cuts a batch only for a free instance.
                    let session = state.idle.pop()?;
                    if state.scheduler.has_waiting() {
                        self.wake_one(state);
                    }
                    return Some(Taken { batch, session });
                }
                Step::Expire(expired) => {
                    drop(state);
                    expire(expired);
                    state = self.lock();
                }
                Step::HoldUntil(until) => state = self.sleep(state, Some(until)),
                Step::Wait => state = self.sleep(state, None),
                Step::End => {
                    // Each thread that ends takes a session with it, whose memory goes back now.
                    let session = state.idle.pop();
                    drop(state);
                    drop(session);
                    return None;
                }
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
