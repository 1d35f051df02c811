//! Plays the scheduler in virtual time: arrivals go in, decisions come out in order.
//!
//! Decision: it acts like the threads. A free instance asks, sleeps until the next event or the end
//! of its batch delay, and is busy while its batch runs.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::time;

use super::super::Scheduler;
use super::super::types::{Decision, Limits, Refusal, RunReport, SchedulerSnapshot};
use super::random::Random;
use super::scenario::layout;
use crate::batch::curve::{Curve, float};
use crate::batch::queue::{QueueKey, QueuedRequest};

/// Something that happens to the scheduler. Requests are known by number.
#[derive(Debug)]
pub(super) enum Event {
    Arrive(QueuedRequest<usize>),
    Cancel(usize),
    /// The next instance that ends its batch is lost.
    Lose,
    Close,
    /// The predictions are read.
    Look,
    /// The thread of this number has run its batch.
    RunFinished(usize, Vec<Option<Instant>>),
    /// A batch delay ends.
    Timer,
}

/// An outcome of an event.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A batch runs until then.
    Run(Vec<QueuedRequest<usize>>, Duration),
    Drop(Vec<QueuedRequest<usize>>),
    Refuse(usize, Refusal),
    /// Requests that a more urgent one displaced.
    Displace(Vec<QueuedRequest<usize>>),
    GiveBack(Vec<QueuedRequest<usize>>),
    Seen(SchedulerSnapshot),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Thread {
    Free,
    /// Runs so many rows for so long on an instance.
    Busy(usize, usize, Duration),
    Gone,
}

/// The run time of batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) per_row_millis: f64,
    pub(super) fixed_millis: f64,
    /// The standard deviation as a fraction.
    pub(super) jitter: f64,
    /// True if the scheduler knows it from the start and learns the time of every run.
    pub(super) is_known: bool,
}

impl Cost {
    /// Milliseconds of a batch without jitter.
    pub(super) fn of(&self, n_rows: usize) -> f64 {
        self.per_row_millis * float(n_rows) + self.fixed_millis
    }

    /// Returns the curve after many runs of sizes up to `max_rows`.
    fn curve(&self, max_rows: usize) -> Curve {
        let mut curve = Curve::default();
        let doublings = std::iter::successors(Some(1), |size| Some(size * 2));
        for size in doublings
            .take_while(|&size| size < max_rows)
            .chain([max_rows])
        {
            for _ in 0..100 {
                curve.observe(size, millis(self.of(size)));
            }
        }
        curve
    }
}

/// Virtual time, the scheduled events, and the scheduler under test.
pub(super) struct Player {
    pub(super) scheduler: Scheduler<usize>,
    cost: Cost,
    start: Instant,
    /// Events by time since the start; those scheduled first come first.
    events: BTreeMap<(Duration, u64), Event>,
    n_scheduled: u64,
    threads: Vec<Thread>,
    n_to_lose: usize,
    keys: HashMap<usize, QueueKey>,
    random: Random,
}

impl Player {
    pub(super) fn new(limits: Limits, cost: Cost) -> Self {
        let curve = match cost.is_known {
            true => cost.curve(limits.max_rows),
            false => Curve::default(),
        };
        Self {
            threads: vec![Thread::Free; limits.n_instances],
            scheduler: Scheduler::new(limits, curve),
            cost,
            start: time::Instant::now().into_std(),
            events: BTreeMap::new(),
            n_scheduled: 0,
            n_to_lose: 0,
            keys: HashMap::new(),
            random: Random::new(99),
        }
    }

    /// The moment so long after the start.
    pub(super) fn at(&self, offset: Duration) -> Instant {
        self.start + offset
    }

    pub(super) fn schedule(&mut self, at: Duration, event: Event) {
        self.events.insert((at, self.n_scheduled), event);
        self.n_scheduled += 1;
    }

    /// Schedules the arrival of one row that every other may join.
    pub(super) fn schedule_row(&mut self, at: Duration, number: usize, limit: Option<Duration>) {
        let arrived = self.at(at);
        let waiting = QueuedRequest {
            n_rows: 1,
            layout: layout(1),
            priority: 0,
            arrived,
            deadline: limit.map(|limit| arrived + limit),
            request: number,
        };
        self.schedule(at, Event::Arrive(waiting));
    }

    /// Plays until no event is left, and returns the outcomes with their times.
    pub(super) fn play(&mut self, on_outcome: &mut dyn FnMut(Duration, Outcome)) {
        while self.step(on_outcome) {}
    }

    /// Plays one event. Returns whether there was one.
    pub(super) fn step(&mut self, on_outcome: &mut dyn FnMut(Duration, Outcome)) -> bool {
        let Some(((now, _), event)) = self.events.pop_first() else {
            return false;
        };
        if let Some(outcome) = self.apply(event, now) {
            on_outcome(now, outcome);
        }
        for index in 0..self.threads.len() {
            self.serve(index, now, on_outcome);
        }
        true
    }

    fn apply(&mut self, event: Event, now: Duration) -> Option<Outcome> {
        match event {
            Event::Arrive(waiting) => {
                let number = waiting.request;
                match self.scheduler.admit(waiting) {
                    Err(refusal) => return Some(Outcome::Refuse(number, refusal)),
                    Ok(admitted) => {
                        self.keys.insert(number, admitted.key);
                        let displaced = admitted.displaced;
                        return (!displaced.is_empty()).then_some(Outcome::Displace(displaced));
                    }
                }
            }
            Event::Cancel(number) => {
                let key = self.keys[&number];
                drop(self.scheduler.cancel(key));
            }
            Event::Lose => self.n_to_lose += 1,
            Event::Close => self.scheduler.close(),
            Event::Look => return Some(Outcome::Seen(self.scheduler.snapshot(self.at(now)))),
            Event::RunFinished(index, deadlines) => return self.finish_run(index, &deadlines, now),
            Event::Timer => {}
        }
        None
    }

    fn finish_run(
        &mut self,
        index: usize,
        deadlines: &[Option<Instant>],
        now: Duration,
    ) -> Option<Outcome> {
        let Thread::Busy(slot, n_rows, time) = self.threads[index] else {
            panic!("thread {index} ran nothing");
        };
        let now = self.at(now);
        if self.n_to_lose > 0 {
            self.n_to_lose -= 1;
            self.threads[index] = Thread::Gone;
            return Some(Outcome::GiveBack(self.scheduler.instance_lost(Some(slot))));
        }
        self.threads[index] = Thread::Free;
        let due = deadlines.iter().flatten();
        let report = RunReport {
            n_rows,
            time: self.cost.is_known.then_some(time),
            n_requests: deadlines.len(),
            n_due: due.clone().count(),
            n_late: due.filter(|deadline| **deadline < now).count(),
        };
        self.scheduler.finish_run(slot, &report, now);
        None
    }

    fn serve(
        &mut self,
        index: usize,
        now: Duration,
        on_outcome: &mut dyn FnMut(Duration, Outcome),
    ) {
        while self.threads[index] == Thread::Free {
            match self.scheduler.next(self.at(now)) {
                Decision::Run(batch) => {
                    let n_rows = batch.requests.iter().map(|waiting| waiting.n_rows).sum();
                    let jitter = 1.0 + self.cost.jitter * self.random.normal();
                    let time = millis(self.cost.of(n_rows) * jitter);
                    self.threads[index] = Thread::Busy(batch.slot, n_rows, time);
                    let deadlines = batch.requests.iter().map(|waiting| waiting.deadline);
                    self.schedule(now + time, Event::RunFinished(index, deadlines.collect()));
                    on_outcome(now, Outcome::Run(batch.requests, now + time));
                }
                Decision::Drop(dropped) => on_outcome(now, Outcome::Drop(dropped)),
                Decision::HoldUntil(until) => {
                    let timer = (until - self.start, u64::MAX);
                    self.events.entry(timer).or_insert(Event::Timer);
                    return;
                }
                Decision::Wait => return,
                Decision::End => {
                    self.threads[index] = Thread::Gone;
                    on_outcome(now, Outcome::End);
                }
            }
        }
    }
}

pub(super) fn millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1000.0)
}
