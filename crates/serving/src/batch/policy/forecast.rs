//! Predictions of the scheduler: the time to an answer, and the requests that would be refused.
//!
//! Rule: a new request waits for an instance, for full batches of the rows ahead of its priority,
//! and for a full batch of its own. Measurements are not trusted after an idle second. The
//! admission level is read by status calls and by each refusal, so it is searched and not kept: the
//! rows ahead of a priority change only at priorities that wait, which are few.

use std::time::{Duration, Instant};

use contract::{AdmissionLevel, RunCost, Urgency};

use super::Scheduler;
use super::types::{Refusal, SchedulerSnapshot};
use crate::batch::curve::{Point, float};
use crate::batch::queue::{QueuedRequest, class};

/// The age from which measurements refuse no request while everything is idle.
const STALE_AGE: Duration = Duration::from_secs(1);

/// The class of requests without a priority, which is the least urgent.
const LAST_CLASS: u32 = u32::MAX;

/// The most urgent class.
const FIRST_CLASS: u32 = 1;

impl<T> Scheduler<T> {
    /// Refuses a request that is about to arrive, where a single row, which waits no longer than
    /// more rows do, would be refused for its deadline: of its priority or, while that is not
    /// known, of every priority. The reported wait is then that of requests without a priority, as
    /// most are.
    pub(crate) fn refuse_early(&mut self, urgency: Urgency, now: Instant) -> Result<(), Refusal> {
        let Urgency { deadline, priority } = urgency;
        if self.is_closing || self.slots.n_left() == 0 {
            return Ok(());
        }
        let class = class(priority.unwrap_or_default());
        let Some(refusal) = self.refusal_if_late(class, 1, deadline, now) else {
            return Ok(());
        };
        if priority.is_none() && !self.is_late_for_all(deadline, now) {
            return Ok(());
        }
        self.turnaround.arrived(now);
        let time = deadline.saturating_duration_since(now);
        self.deadline_estimate.observe(time, now);
        Err(refusal)
    }

    /// Returns whether a row of any priority would come too late. The rows ahead change only at
    /// priorities that wait.
    fn is_late_for_all(&self, deadline: Instant, now: Instant) -> bool {
        let mut classes = std::iter::once(FIRST_CLASS).chain(self.queue.classes());
        classes.all(|class| self.refusal_if_late(class, 1, deadline, now).is_some())
    }

    /// Returns the measurements, and the sizes and predictions that follow from them.
    pub(crate) fn snapshot(&self, now: Instant) -> SchedulerSnapshot {
        let run_cost = |point: &Point| RunCost {
            rows: point.rows,
            time: Duration::from_secs_f64(point.seconds),
            deviation: point.deviation(),
        };
        let is_known = self.curve.points().next().is_some();
        SchedulerSnapshot {
            curve: self.curve.points().map(run_cost).collect(),
            efficient_rows: self.sizing.efficient_rows,
            batch_rows: self.sizing.batch_rows,
            hold: self.limits.max_delay.or_else(|| self.current_hold()),
            max_queue_rows: self.sizing.queue_rows,
            n_queued_rows: self.queue.n_rows(),
            predicted_wait: is_known.then(|| self.predict(LAST_CLASS, 1, now)),
            admission_level: self.admission_level(now),
        }
    }

    /// Returns the lowest priority at which a request of one row would be admitted now, with the
    /// time limit of the model.
    pub(crate) fn admission_level(&self, now: Instant) -> AdmissionLevel {
        if self.is_closing || self.slots.n_left() == 0 {
            return AdmissionLevel::Closed;
        }
        // The result is the same up to the first class that waits, and from each class to the next.
        let before = self
            .queue
            .classes()
            .rev()
            .map(|class| class.saturating_sub(1));
        let mut lowest = std::iter::once(LAST_CLASS).chain(before);
        match lowest.find(|&class| class > 0 && self.would_admit(class, now)) {
            Some(LAST_CLASS) => AdmissionLevel::Priority(0),
            Some(class) => AdmissionLevel::Priority(class),
            None => AdmissionLevel::Closed,
        }
    }

    fn would_admit(&self, class: u32, now: Instant) -> bool {
        let deadline = self
            .limits
            .time_limit
            .and_then(|limit| now.checked_add(limit));
        let has_room = || match self.n_over(1) {
            Some(n_over) => self.sizing.queue_rows > 0 && self.queue.can_displace(class, n_over),
            None => true,
        };
        let lateness = deadline.and_then(|deadline| self.refusal_if_late(class, 1, deadline, now));
        lateness.is_none() && has_room()
    }

    pub(super) fn check_deadline(
        &mut self,
        waiting: &QueuedRequest<T>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(deadline) = waiting.deadline else {
            return Ok(());
        };
        let time = deadline.saturating_duration_since(now);
        self.deadline_estimate.observe(time, now);
        match self.refusal_if_late(waiting.class(), waiting.n_rows, deadline, now) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Returns the refusal of a new request whose answer is predicted to come after `deadline`.
    pub(super) fn refusal_if_late(
        &self,
        class: u32,
        n_rows: usize,
        deadline: Instant,
        now: Instant,
    ) -> Option<Refusal> {
        if self.is_stale(now) {
            return None;
        }
        let time = deadline.saturating_duration_since(now);
        let wait = self.predict(class, n_rows, now);
        let excess = wait.checked_sub(time).filter(|excess| !excess.is_zero())?;
        // Without the factor of late answers, which falls again: a later request may be in time.
        let run = self.curve.upper(n_rows).unwrap_or_default();
        Some(match run > time {
            true => Refusal::DeadlineTooShort { run, time },
            false => Refusal::TooLate { wait, excess },
        })
    }

    /// Predicts the time to the answer of a new request; zero as long as nothing is known.
    pub(super) fn predict(&self, class: u32, n_rows: usize, now: Instant) -> Duration {
        let batch_rows = self.sizing.batch_rows;
        if self.queue.len() < self.slots.n_free() {
            let joined = batch_rows.min(self.queue.n_rows() + n_rows);
            return self.upper(joined.max(n_rows));
        }
        let (rows_ahead, n_ahead) = self.queue.ahead_of(class);
        // Requests above the size of a batch run one by one.
        let size = batch_rows.max(rows_ahead.checked_div(n_ahead).unwrap_or(0));
        let n_batches = float(rows_ahead / size.max(1)) / float(self.slots.n_left().max(1));
        let ahead = self.upper(size).mul_f64(n_batches);
        self.slots.time_to_free(now) + ahead + self.upper(batch_rows.max(n_rows))
    }

    /// Returns whether the measurements are too old to refuse a request.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        let is_recent = |at| now.saturating_duration_since(at) < STALE_AGE;
        self.slots.n_free() == self.slots.n_left() && !self.last_run.is_some_and(is_recent)
    }
}
