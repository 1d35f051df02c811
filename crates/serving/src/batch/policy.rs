//! The scheduler of one loaded version, without clock or threads: it admits requests and forms
//! batches.
//!
//! Input: arrivals, cancellations, instances that end a run or are lost, and the time of each.
//! Rule: a request is refused on arrival when its answer is predicted to come too late; the
//! prediction charges it a full batch and not the one that it would join now. A free instance takes
//! the waiting requests at once, except while callers that it has just answered are due back: then
//! it waits for two and a half mean think times, because callers that come back at different times
//! would split into batches that each pay the fixed cost of a run. A delay in the settings replaces
//! this batch delay, and zero turns it off; no batch waits when that would cost a request its
//! deadline, nor while closing. Cold start: nothing is predicted, so only the bound of the queue
//! refuses requests. Recovery: every run updates the curve; after an idle second predictions refuse
//! nothing, so that a wrong curve is measured again; the others take over the share of a lost
//! instance, and with the last one all waiting requests are returned. Rejected: a batch delay by
//! default, which lowers neither the mean nor the tail of the latency at any load, and charging a
//! new request the batch that it would join now, which makes a quarter of the answers late at full
//! load.

mod codel;
mod deadline_estimate;
mod forecast;
mod lateness;
mod sizing;
mod slots;
mod turnaround;
pub(crate) mod types;

use std::time::{Duration, Instant};

use super::curve::Curve;
use super::queue::{BatchCandidate, BatchConstraints, Queue, QueueKey, QueuedRequest};
use codel::CoDel;
use deadline_estimate::DeadlineEstimate;
use lateness::Lateness;
use sizing::Sizing;
use slots::Slots;
use turnaround::Turnaround;
use types::{Admitted, Batch, Decision, Limits, Refusal, RunReport};

/// The shortest batch delay that is worth a timer.
const MIN_HOLD: Duration = Duration::from_micros(50);

/// The batch delay in mean think times. Of exponential think times 8 % take longer; with two the
/// shortest think times lose 8 % of the throughput of the best fixed delay, with three long ones
/// do.
const HOLD_TURNAROUNDS: f64 = 2.5;

/// The longest think time that is learned, in multiples of the longest batch delay.
const HORIZON_HOLDS: u32 = 4;

/// The least time between two measured runs; runs that follow each other faster add no information.
const MIN_SAMPLE_GAP: Duration = Duration::from_micros(200);

/// The time for which the sizing is kept; it follows from averages that move slowly.
const SIZING_AGE: Duration = Duration::from_millis(10);

/// Scheduler of one loaded version: it decides which requests run when.
#[derive(Debug)]
pub(crate) struct Scheduler<T> {
    limits: Limits,
    queue: Queue<T>,
    slots: Slots,
    is_closing: bool,
    curve: Curve,
    sizing: Sizing,
    sized_at: Option<Instant>,
    learned_at: Option<Instant>,
    /// The last time when an instance began or ended a run.
    last_run: Option<Instant>,
    deadline_estimate: DeadlineEstimate,
    lateness: Lateness,
    codel: CoDel,
    turnaround: Turnaround,
}

impl<T> Scheduler<T> {
    /// Creates a scheduler with free instances, no requests, and the known run times.
    pub(crate) fn new(limits: Limits, curve: Curve) -> Self {
        let mut scheduler = Self {
            queue: Queue::new(),
            slots: Slots::new(limits.n_instances),
            is_closing: false,
            sizing: Sizing::new(&curve, 1.0, &limits, None),
            sized_at: None,
            learned_at: None,
            last_run: None,
            deadline_estimate: DeadlineEstimate::default(),
            lateness: Lateness::default(),
            codel: CoDel::default(),
            turnaround: Turnaround::default(),
            curve,
            limits,
        };
        scheduler.set_horizon();
        scheduler
    }

    /// Admits or refuses a request that arrives at the time that it states.
    pub(crate) fn admit(&mut self, waiting: QueuedRequest<T>) -> Result<Admitted<T>, Refusal> {
        if self.is_closing {
            return Err(Refusal::Closing);
        }
        if self.slots.n_left() == 0 {
            return Err(Refusal::NoInstance);
        }
        let now = waiting.arrived;
        self.turnaround.arrived(now);
        self.check_deadline(&waiting, now)?;
        let displaced = self.make_room(&waiting, now)?;
        let key = self.queue.push(waiting);
        Ok(Admitted {
            key,
            level: (!displaced.is_empty()).then(|| self.admission_level(now)),
            displaced,
        })
    }

    /// Cancels a request. Returns it when it was still waiting.
    pub(crate) fn cancel(&mut self, key: QueueKey) -> Option<QueuedRequest<T>> {
        self.queue.remove(key)
    }

    /// Takes a free instance for a request that its caller runs itself, without waiting. Returns
    /// the instance, now busy, when one is free, no request is queued ahead, and no batch delay
    /// applies.
    pub(crate) fn take_free(&mut self, n_rows: usize, now: Instant) -> Option<usize> {
        let is_delayed = self.limits.max_delay.is_some_and(|delay| !delay.is_zero());
        if self.is_closing || is_delayed || !self.queue.is_empty() {
            return None;
        }
        let run_time = match n_rows {
            1 => self.sizing.row_time,
            _ => self.upper(n_rows),
        };
        let slot = self.slots.occupy(now + run_time)?;
        self.turnaround.arrived(now);
        self.last_run = Some(now);
        Some(slot)
    }

    /// Decides what a thread does next. While no instance is free, it waits.
    pub(crate) fn next(&mut self, now: Instant) -> Decision<T> {
        self.step(now, None)
    }

    /// Like [`Self::next`], for a thread that runs only batches of which it may run every request.
    pub(crate) fn next_if(&mut self, now: Instant, may_run: impl Fn(&T) -> bool) -> Decision<T> {
        self.step(now, Some(&may_run))
    }

    fn step(&mut self, now: Instant, may_run: Option<&dyn Fn(&T) -> bool>) -> Decision<T> {
        if self.has_waiting() && self.slots.n_free() == 0 {
            return Decision::Wait;
        }
        let candidate = self.plan(now);
        if !candidate.dropped.is_empty() {
            return Decision::Drop(self.queue.take(&candidate.dropped));
        }
        if candidate.batch.is_empty() {
            return match self.is_closing {
                true => Decision::End,
                false => Decision::Wait,
            };
        }
        if !candidate.is_full
            && let Some(until) = self.hold(&candidate, now)
        {
            return Decision::HoldUntil(until);
        }
        if may_run.is_some_and(|may_run| !self.queue.all(&candidate, may_run)) {
            return Decision::Wait;
        }
        let Some(slot) = self.slots.occupy(now + self.upper(candidate.n_rows)) else {
            return Decision::Wait;
        };
        self.observe_delay(&candidate, now);
        self.last_run = Some(now);
        Decision::Run(Batch {
            requests: self.queue.take_batch(&candidate),
            slot,
        })
    }

    /// Records that an instance has run its batch.
    pub(crate) fn finish_run(&mut self, slot: usize, report: &RunReport, now: Instant) {
        self.slots.release(slot, now);
        self.last_run = Some(now);
        self.lateness.observe(report.n_due, report.n_late, now);
        self.turnaround.replied(report.n_requests, now);
        if let Some(time) = report.time {
            self.learn(report.n_rows, time, now);
        }
    }

    /// Removes an instance: this one, or any when its thread had none. Returns the requests that no
    /// instance can run any more.
    pub(crate) fn instance_lost(&mut self, slot: Option<usize>) -> Vec<QueuedRequest<T>> {
        self.slots.mark_lost(slot);
        match self.slots.n_left() {
            0 => self.queue.drain(),
            _ => Vec::new(),
        }
    }

    /// Removes all requests from the queue, because no instance will run them.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest<T>> {
        self.queue.drain()
    }

    /// Stops admission.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Returns whether requests wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn learn(&mut self, n_rows: usize, time: Duration, now: Instant) {
        let age = |at| now.saturating_duration_since(at);
        if self.learned_at.is_some_and(|at| age(at) < MIN_SAMPLE_GAP) {
            return;
        }
        self.learned_at = Some(now);
        self.curve.observe(n_rows, time);
        if self.sized_at.is_none_or(|at| age(at) >= SIZING_AGE) {
            let factor = self.lateness.factor();
            let deadline_estimate = self.deadline_estimate.get(now);
            self.sizing = Sizing::new(&self.curve, factor, &self.limits, deadline_estimate);
            self.sized_at = Some(now);
            self.set_horizon();
        }
    }

    fn plan(&self, now: Instant) -> BatchCandidate {
        let is_stale = self.is_stale(now);
        let run_time = |n_rows| match is_stale {
            true => Duration::ZERO,
            false => self.upper(n_rows),
        };
        let delay = self.sizing.codel_target;
        self.queue.plan(&BatchConstraints {
            now,
            max_rows: self.sizing.batch_rows,
            run_time: &run_time,
            shed_before: delay.and_then(|delay| self.codel.shed_before(delay, now)),
        })
    }

    fn observe_delay(&mut self, candidate: &BatchCandidate, now: Instant) {
        if let (Some(target), Some(last)) = (self.sizing.codel_target, candidate.last_arrival) {
            let delay = now.saturating_duration_since(last);
            self.codel.observe(delay, target, now);
        }
    }

    /// Checks the bound of the queue; a request that a free instance takes does not count as
    /// waiting. Returns the requests that a more urgent one displaces.
    fn make_room(
        &mut self,
        waiting: &QueuedRequest<T>,
        now: Instant,
    ) -> Result<Vec<QueuedRequest<T>>, Refusal> {
        let (class, cost) = (waiting.class(), waiting.cost());
        let limit = self.sizing.queue_rows;
        let Some(n_over) = self.n_over(cost) else {
            return Ok(Vec::new());
        };
        if cost <= limit
            && let Some(displaced) = self.queue.displace(class, n_over)
        {
            return Ok(displaced);
        }
        let wait = self.predict(class, waiting.n_rows, now);
        Err(Refusal::QueueFull {
            limit,
            wait: (!wait.is_zero()).then_some(wait),
        })
    }

    /// Returns the rows by which a new request of this cost exceeds the bound of the queue, if it
    /// does.
    fn n_over(&self, cost: usize) -> Option<usize> {
        let is_taken_at_once = self.queue.len() < self.slots.n_free();
        let n_rows = self.queue.n_rows().saturating_add(cost);
        let n_over = n_rows.saturating_sub(self.sizing.queue_rows);
        (!is_taken_at_once && n_over > 0).then_some(n_over)
    }

    /// Returns the time until which a batch that is not full waits for more requests, if it does.
    fn hold(&self, candidate: &BatchCandidate, now: Instant) -> Option<Instant> {
        if self.is_closing {
            return None;
        }
        let until = match self.limits.max_delay {
            Some(delay) if delay.is_zero() => return None,
            Some(delay) => self.queue.oldest()? + delay,
            None => self.held_until(now)?,
        };
        let answered = until + self.upper(candidate.n_rows);
        let is_too_late = |deadline| deadline <= until || deadline < answered;
        let is_urgent = self.queue.first_deadline().is_some_and(is_too_late);
        (now < until && !is_urgent).then_some(until)
    }

    /// Returns the time until which the longest idle instance waits for callers that are due.
    fn held_until(&self, now: Instant) -> Option<Instant> {
        let hold = self.current_hold()?;
        let until = self.slots.idle_since()? + hold;
        (self.turnaround.n_due(now) > 0).then_some(until)
    }

    fn current_hold(&self) -> Option<Duration> {
        if self.limits.max_delay.is_some() || self.sizing.max_hold < MIN_HOLD {
            return None;
        }
        let turnarounds = self.turnaround.mean()?.mul_f64(HOLD_TURNAROUNDS);
        let hold = turnarounds.min(self.sizing.max_hold);
        (hold >= MIN_HOLD).then_some(hold)
    }

    fn set_horizon(&mut self) {
        let is_useful = self.limits.max_delay.is_none() && self.sizing.max_hold >= MIN_HOLD;
        let horizon = match is_useful {
            true => self.sizing.max_hold * HORIZON_HOLDS,
            false => Duration::ZERO,
        };
        self.turnaround.set_horizon(horizon);
    }

    /// Returns an upper bound on the time of a run; zero as long as nothing is known.
    fn upper(&self, n_rows: usize) -> Duration {
        let upper = self.curve.upper(n_rows).unwrap_or_default();
        upper.mul_f64(self.lateness.factor())
    }
}

#[cfg(test)]
mod tests;
