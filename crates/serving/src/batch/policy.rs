//! When a batch is cut: the scheduler of one variant, without clock, threads or locks.
//!
//! Input: arrivals, cancellations, instances that become free or die, and the time of each.
//! Rule: work-conserving. A free instance takes what waits at once, so batches form only while all
//! instances are busy. With `max_delay` above zero a free instance waits for company until the
//! batch is full or the oldest request has waited that long; it never waits when that would cost a
//! request its deadline, nor while closing. Cold start: the rule learns nothing, so it has none.
//! Recovery: a lost instance leaves its share to the others; with the last one everything that
//! waits is given back. Rejected: waiting for company by default, which lowers neither the mean nor
//! the tail of the latency at any load, and shrinking a batch to save its oldest request, which
//! lets the queue collapse.

use std::time::{Duration, Instant};

use super::queue::{Place, Queue, Waiting};

/// What the scheduler goes by.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most rows of a batch.
    pub(crate) max_rows: usize,
    /// The longest that a free instance waits for company.
    pub(crate) max_delay: Duration,
    /// The most rows that wait.
    pub(crate) max_queue_rows: usize,
    /// Instances at the start, all of them free.
    pub(crate) n_instances: usize,
}

/// What a free instance has to do.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// Run this batch; the instance is busy until it says otherwise.
    Run(Vec<Waiting<T>>),
    /// Tell these that their deadline has passed, then ask again.
    Expire(Vec<Waiting<T>>),
    /// Ask again at this time, or at the next arrival.
    HoldUntil(Instant),
    /// Ask again at the next arrival.
    Wait,
    /// Nothing will come any more.
    End,
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The queue is full.
    #[error("the queue holds its limit of {limit} rows")]
    QueueFull {
        /// The most rows that wait.
        limit: usize,
    },
    /// Nothing new is taken.
    #[error("the variant is closing")]
    Closing,
    /// No instance is left.
    #[error("no instance is left")]
    NoInstance,
}

/// Decides for one variant who runs when.
#[derive(Debug)]
pub(crate) struct Scheduler<T> {
    limits: Limits,
    queue: Queue<T>,
    n_instances: usize,
    n_free: usize,
    is_closing: bool,
}

impl<T> Scheduler<T> {
    /// A scheduler of free instances and no requests.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            queue: Queue::new(),
            n_instances: limits.n_instances,
            n_free: limits.n_instances,
            is_closing: false,
            limits,
        }
    }

    /// A request arrives. A request that a free instance takes does not count as waiting.
    pub(crate) fn arrive(&mut self, waiting: Waiting<T>) -> Result<Place, Refusal> {
        if self.is_closing {
            return Err(Refusal::Closing);
        }
        if self.n_instances == 0 {
            return Err(Refusal::NoInstance);
        }
        let limit = self.limits.max_queue_rows;
        let is_taken_at_once = self.queue.len() < self.n_free;
        if !is_taken_at_once && self.queue.n_rows().saturating_add(waiting.cost()) > limit {
            return Err(Refusal::QueueFull { limit });
        }
        Ok(self.queue.push(waiting))
    }

    /// A caller went away. Gives its request when it was still waiting.
    pub(crate) fn cancel(&mut self, place: Place) -> Option<Waiting<T>> {
        self.queue.remove(place)
    }

    /// A caller wants to run its request itself, without waiting. Gives whether it may: an instance
    /// is free, then counted busy, nobody is ahead, and company is not waited for.
    pub(crate) fn take_free(&mut self) -> bool {
        let may = !self.is_closing
            && self.n_free > 0
            && self.queue.is_empty()
            && self.limits.max_delay.is_zero();
        self.n_free -= usize::from(may);
        may
    }

    /// A thread asks what to do. While no instance is free, there is nothing to do.
    pub(crate) fn next(&mut self, now: Instant) -> Step<T> {
        if self.n_free == 0 && self.has_waiting() {
            return Step::Wait;
        }
        let cut = self.queue.plan(now, self.limits.max_rows);
        if !cut.expired.is_empty() {
            return Step::Expire(self.queue.take(&cut.expired));
        }
        if cut.batch.is_empty() {
            return match self.is_closing {
                true => Step::End,
                false => Step::Wait,
            };
        }
        if !cut.is_full
            && let Some(until) = self.hold(now)
        {
            return Step::HoldUntil(until);
        }
        self.n_free = self.n_free.saturating_sub(1);
        Step::Run(self.queue.take(&cut.batch))
    }

    /// An instance has run its batch.
    pub(crate) fn instance_freed(&mut self) {
        self.n_free += 1;
    }

    /// A busy instance is gone. Gives what nobody can run any more.
    pub(crate) fn instance_lost(&mut self) -> Vec<Waiting<T>> {
        self.n_instances = self.n_instances.saturating_sub(1);
        match self.n_instances {
            0 => self.queue.drain(),
            _ => Vec::new(),
        }
    }

    /// Takes nothing new from now on.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether requests wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Until when a batch that is not full waits for company, if it does.
    fn hold(&self, now: Instant) -> Option<Instant> {
        if self.limits.max_delay.is_zero() || self.is_closing {
            return None;
        }
        let until = self.queue.oldest()? + self.limits.max_delay;
        let is_too_late = |deadline| deadline <= until;
        let is_urgent = self.queue.first_deadline().is_some_and(is_too_late);
        (now < until && !is_urgent).then_some(until)
    }
}

#[cfg(test)]
mod tests;
