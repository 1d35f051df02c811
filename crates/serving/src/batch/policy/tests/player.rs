//! Plays the scheduler in virtual time: arrivals go in, decisions come out as they fall.
//!
//! Decision: it does what the threads do. A free instance asks, sleeps until the next event or the
//! end of its hold, and is busy while its batch runs.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::time;

use super::super::{Limits, Refusal, Scheduler, Step};
use crate::batch::queue::{Place, Waiting};

/// Something that happens to the scheduler. Requests are known by number.
#[derive(Debug)]
pub(super) enum Event {
    Arrive(Waiting<usize>),
    Cancel(usize),
    /// The next instance that ends its batch dies.
    Lose,
    Close,
    /// The instance of this number has run its batch.
    Ran(usize),
    /// A hold ends.
    Timer,
}

/// Something that comes of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Run(Vec<Waiting<usize>>),
    Expire(Vec<Waiting<usize>>),
    Refuse(usize, Refusal),
    GiveBack(Vec<Waiting<usize>>),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Instance {
    Free,
    Busy,
    Gone,
}

/// Virtual time, what is to come, and the scheduler under test.
pub(super) struct Player {
    scheduler: Scheduler<usize>,
    /// Milliseconds of a batch: `cost.0` for each row, and `cost.1`.
    cost: (f64, f64),
    start: Instant,
    /// By time since the start; what was scheduled first comes first.
    events: BTreeMap<(Duration, u64), Event>,
    n_scheduled: u64,
    instances: Vec<Instance>,
    n_to_lose: usize,
    places: HashMap<usize, Place>,
}

impl Player {
    pub(super) fn new(limits: Limits, cost: (f64, f64)) -> Self {
        Self {
            instances: vec![Instance::Free; limits.n_instances],
            scheduler: Scheduler::new(limits),
            cost,
            start: time::Instant::now().into_std(),
            events: BTreeMap::new(),
            n_scheduled: 0,
            n_to_lose: 0,
            places: HashMap::new(),
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

    /// Plays until nothing is to come, and tells what happens when.
    pub(super) fn play(&mut self, tell: &mut dyn FnMut(Duration, Outcome)) {
        while let Some(((now, _), event)) = self.events.pop_first() {
            if let Some(outcome) = self.apply(event) {
                tell(now, outcome);
            }
            for index in 0..self.instances.len() {
                self.serve(index, now, tell);
            }
        }
    }

    fn apply(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Arrive(waiting) => {
                let number = waiting.request;
                match self.scheduler.arrive(waiting) {
                    Ok(place) => drop(self.places.insert(number, place)),
                    Err(refusal) => return Some(Outcome::Refuse(number, refusal)),
                }
            }
            Event::Cancel(number) => {
                let place = self.places[&number];
                drop(self.scheduler.cancel(place));
            }
            Event::Lose => self.n_to_lose += 1,
            Event::Close => self.scheduler.close(),
            Event::Ran(index) if self.n_to_lose > 0 => {
                self.n_to_lose -= 1;
                self.instances[index] = Instance::Gone;
                return Some(Outcome::GiveBack(self.scheduler.instance_lost()));
            }
            Event::Ran(index) => {
                self.instances[index] = Instance::Free;
                self.scheduler.instance_freed();
            }
            Event::Timer => {}
        }
        None
    }

    fn serve(&mut self, index: usize, now: Duration, tell: &mut dyn FnMut(Duration, Outcome)) {
        while self.instances[index] == Instance::Free {
            match self.scheduler.next(self.at(now)) {
                Step::Run(batch) => {
                    self.instances[index] = Instance::Busy;
                    let end = now + self.run_time(&batch);
                    self.schedule(end, Event::Ran(index));
                    tell(now, Outcome::Run(batch));
                }
                Step::Expire(expired) => tell(now, Outcome::Expire(expired)),
                Step::HoldUntil(until) => {
                    let timer = (until - self.start, u64::MAX);
                    self.events.entry(timer).or_insert(Event::Timer);
                    return;
                }
                Step::Wait => return,
                Step::End => {
                    self.instances[index] = Instance::Gone;
                    tell(now, Outcome::End);
                }
            }
        }
    }

    fn run_time(&self, batch: &[Waiting<usize>]) -> Duration {
        let n_rows: usize = batch.iter().map(|waiting| waiting.n_rows).sum();
        let n_rows = f64::from(u32::try_from(n_rows).unwrap());
        millis(self.cost.0 * n_rows + self.cost.1)
    }
}

pub(super) fn millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1000.0)
}
