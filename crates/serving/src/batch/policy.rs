//! When a batch is cut and who may wait: the scheduler of one variant, without clock or threads.
//!
//! Input: arrivals, cancellations, instances that end a run or die, and the time of each.
//! Rule: a request is refused on arrival when its answer is predicted to come too late, where it is
//! charged a full batch and not the one that it would join now. A free instance takes what waits
//! at once, except while callers that it has just answered are due back: then it is held for two
//! and a half turnarounds, because callers that come back apart would split into batches that each
//! pay the fixed cost of a run. A delay of the user replaces the hold, and zero turns it off;
//! nothing is ever held when that would cost a request its deadline, nor while closing. Cold start:
//! nothing is predicted, so nothing is refused but by the bound of the queue. Recovery: every run
//! updates the curve; after an idle second nothing is refused on its word, so that a wrong curve is
//! measured again; a lost instance leaves its share to the others, and with the last one everything
//! that waits is given back. Rejected: waiting for company by default, which lowers neither the mean
//! nor the tail of the latency at any load, and charging a newcomer the batch that it would join
//! now, which makes a quarter of the answers late at full load.

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

/// A shorter hold is not worth a timer.
const MIN_HOLD: Duration = Duration::from_micros(50);

/// The turnarounds that an instance is held for. Of exponential ones 8 % take longer; with two the
/// shortest turnarounds lose 8 % of the throughput of the best fixed hold, with three long ones do.
const HOLD_TURNAROUNDS: f64 = 2.5;

/// Turnarounds longer than this many of the longest holds need not be learned.
const HORIZON_HOLDS: u32 = 4;

/// Runs that follow each other more quickly teach nothing more, and are counted once for all.
const MIN_SAMPLE_GAP: Duration = Duration::from_micros(200);

/// How long the sizing stays as it is; it follows from averages that move slowly.
const SIZING_AGE: Duration = Duration::from_millis(10);

/// Decides for one variant who runs when.
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
    /// When an instance last began or ended a run.
    last_run: Option<Instant>,
    deadline_estimate: DeadlineEstimate,
    lateness: Lateness,
    codel: CoDel,
    turnaround: Turnaround,
}

impl<T> Scheduler<T> {
    /// A scheduler of free instances and no requests, with what is known about runs.
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

    /// A request arrives, at the time that it says.
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

    /// A caller went away. Gives its request when it was still waiting.
    pub(crate) fn cancel(&mut self, key: QueueKey) -> Option<QueuedRequest<T>> {
        self.queue.remove(key)
    }

    /// A caller wants to run its request itself, without waiting. Gives the instance that is busy
    /// with it, when one is free, nobody is ahead, and company is not waited for.
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

    /// A thread asks what to do. While no instance is free, there is nothing to do.
    pub(crate) fn next(&mut self, now: Instant) -> Decision<T> {
        self.step(now, None)
    }

    /// As [`Self::next`], for a thread that runs only batches of which it may run every request.
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

    /// An instance has run its batch.
    pub(crate) fn finish_run(&mut self, slot: usize, report: &RunReport, now: Instant) {
        self.slots.release(slot, now);
        self.last_run = Some(now);
        self.lateness.observe(report.n_due, report.n_late, now);
        self.turnaround.replied(report.n_requests, now);
        if let Some(time) = report.time {
            self.learn(report.n_rows, time, now);
        }
    }

    /// An instance is gone: this one, or any when its thread had none. Gives what nobody can run
    /// any more.
    pub(crate) fn instance_lost(&mut self, slot: Option<usize>) -> Vec<QueuedRequest<T>> {
        self.slots.mark_lost(slot);
        match self.slots.n_left() {
            0 => self.queue.drain(),
            _ => Vec::new(),
        }
    }

    /// Takes all requests out of line, because no instance will run them.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest<T>> {
        self.queue.drain()
    }

    /// Takes nothing new from now on.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether requests wait.
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
    /// waiting. Gives those that a more urgent request displaces.
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

    /// By how many rows the queue would be too long with a newcomer of this cost, if it would.
    fn n_over(&self, cost: usize) -> Option<usize> {
        let is_taken_at_once = self.queue.len() < self.slots.n_free();
        let n_rows = self.queue.n_rows().saturating_add(cost);
        let n_over = n_rows.saturating_sub(self.sizing.queue_rows);
        (!is_taken_at_once && n_over > 0).then_some(n_over)
    }

    /// Until when a batch that is not full waits for company, if it does.
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

    /// Until when the instance that is idle for the longest time is held for callers that are due.
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

    /// How long a run hardly ever exceeds; nothing as long as nothing is known.
    fn upper(&self, n_rows: usize) -> Duration {
        let upper = self.curve.upper(n_rows).unwrap_or_default();
        upper.mul_f64(self.lateness.factor())
    }
}

#[cfg(test)]
mod tests;
