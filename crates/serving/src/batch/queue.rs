//! The queue of waiting requests, and the choice of those that run together.
//!
//! Input: requests with rows, layout, priority, arrival and deadline. Rule: strict order by
//! priority, the earliest deadline first within one; a request without deadline is ordered as one
//! of ten seconds. Each lower priority that waits earns credit of a twentieth of the rows that run,
//! and its first request goes ahead of all others once that suffices, so that it never starves. The
//! first request that can still be answered in time, as part of its batch, heads the batch; those
//! before it are dropped. Later ones of the same layout join in order, those of another layout are
//! skipped, and the first of the same layout that does not fit ends the batch, so that smaller
//! requests of its layout cannot overtake a large one for ever. A head above the limit runs alone.
//! Rejected: shrinking a batch to save its oldest request, which lets the queue collapse; a queue
//! per layout, which would need a rule of fairness between queues.

mod class;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::join::RowLayout;
use class::Classes;

/// The deadline that orders requests without one: a caller without a deadline rarely waits longer.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// The most requests that one plan drops; the caller then asks again, so that others can take the
/// lock.
const MAX_DROPS: usize = 32;

/// The position of a request in the queue: the order of keys is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    class: u32,
    due: Instant,
    sequence: u64,
}

/// Converts a priority to a number that grows as urgency falls.
pub(crate) fn class(priority: u32) -> u32 {
    match priority {
        0 => u32::MAX,
        priority => priority,
    }
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct QueuedRequest<T> {
    /// The rows that it adds to a batch.
    pub(crate) n_rows: usize,
    /// The layout of a row; requests with equal layouts may share a batch. `None` runs alone.
    pub(crate) layout: Option<RowLayout>,
    /// 1 is the most urgent, larger numbers wait longer, and 0 waits for all of them.
    pub(crate) priority: u32,
    /// The time of arrival.
    pub(crate) arrived: Instant,
    /// The time after which its answer is useless.
    pub(crate) deadline: Option<Instant>,
    /// The payload, which the queue does not inspect.
    pub(crate) request: T,
}

impl<T> QueuedRequest<T> {
    /// Returns the rows as the bound of the queue counts them: an empty request takes room as well.
    pub(crate) fn cost(&self) -> usize {
        self.n_rows.max(1)
    }

    /// Returns the class of its priority.
    pub(crate) fn class(&self) -> u32 {
        class(self.priority)
    }

    fn can_join(&self, other: &Self) -> bool {
        self.layout.is_some() && self.layout == other.layout
    }
}

/// The constraints of a plan.
pub(crate) struct BatchConstraints<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// The most rows of a batch.
    pub(crate) max_rows: usize,
    /// The upper bound on the time of a run by its rows; zero as long as nothing is known.
    pub(crate) run_time: &'a dyn Fn(usize) -> Duration,
    /// The arrival time before which requests without deadline are dropped.
    pub(crate) shed_before: Option<Instant>,
}

impl BatchConstraints<'_> {
    /// Returns whether a request that runs now with so many rows is late.
    fn is_late<T>(&self, waiting: &QueuedRequest<T>, n_rows: usize) -> bool {
        match waiting.deadline {
            Some(deadline) => deadline <= self.now || deadline < self.now + (self.run_time)(n_rows),
            None => self.shed_before.is_some_and(|time| waiting.arrived < time),
        }
    }
}

/// The batch that would run now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchCandidate {
    /// Requests in front of the batch that would be late.
    pub(crate) dropped: Vec<QueueKey>,
    /// The requests of the batch, in order.
    pub(crate) batch: Vec<QueueKey>,
    /// The rows of the batch.
    pub(crate) n_rows: usize,
    /// True if waiting longer cannot add to the batch.
    pub(crate) is_full: bool,
    /// The arrival of the last request of the batch.
    pub(crate) last_arrival: Option<Instant>,
}

impl BatchCandidate {
    fn add<T>(&mut self, key: QueueKey, waiting: &QueuedRequest<T>) {
        self.batch.push(key);
        self.n_rows = self.n_rows.saturating_add(waiting.n_rows);
        self.last_arrival = self.last_arrival.max(Some(waiting.arrived));
    }
}

/// Waiting requests in the order of service.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: BTreeMap<QueueKey, QueuedRequest<T>>,
    classes: Classes,
    next_sequence: u64,
    n_rows: usize,
}

impl<T> Queue<T> {
    /// Creates an empty queue.
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            classes: Classes::default(),
            next_sequence: 0,
            n_rows: 0,
        }
    }

    /// Returns the number of waiting requests.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether no request waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the rows of the waiting requests.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Returns the rows and requests ahead of a new request of this class.
    pub(crate) fn ahead_of(&self, class: u32) -> (usize, usize) {
        self.classes.up_to(class)
    }

    /// Returns the classes that wait, in the order of service. The rows ahead of a new request
    /// change at each of them.
    pub(crate) fn classes(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.classes.iter()
    }

    /// Returns whether a new request of this class may displace so many rows of lower ones.
    pub(crate) fn can_displace(&self, class: u32, n_rows: usize) -> bool {
        self.n_rows - self.classes.up_to(class).0 >= n_rows
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, waiting: QueuedRequest<T>) -> QueueKey {
        let key = QueueKey {
            class: waiting.class(),
            due: waiting
                .deadline
                .unwrap_or(waiting.arrived + DEFAULT_DEADLINE),
            sequence: self.next_sequence,
        };
        self.next_sequence += 1;
        self.n_rows += waiting.cost();
        self.classes.add(key.class, waiting.cost());
        self.waiting.insert(key, waiting);
        key
    }

    /// Removes a request, if it still waits.
    pub(crate) fn remove(&mut self, key: QueueKey) -> Option<QueuedRequest<T>> {
        let waiting = self.waiting.remove(&key)?;
        self.n_rows -= waiting.cost();
        self.classes.remove(key.class, waiting.cost());
        Some(waiting)
    }

    /// Removes several requests.
    pub(crate) fn take(&mut self, keys: &[QueueKey]) -> Vec<QueuedRequest<T>> {
        keys.iter().filter_map(|&key| self.remove(key)).collect()
    }

    /// Returns whether `is_so` holds for all requests of a batch candidate.
    pub(crate) fn all(&self, candidate: &BatchCandidate, is_so: impl Fn(&T) -> bool) -> bool {
        let mut batch = candidate.batch.iter();
        batch.all(|key| {
            self.waiting
                .get(key)
                .is_some_and(|waiting| is_so(&waiting.request))
        })
    }

    /// Removes the requests of a batch candidate, for which the lower classes that wait earn
    /// credit.
    pub(crate) fn take_batch(&mut self, candidate: &BatchCandidate) -> Vec<QueuedRequest<T>> {
        self.classes.credit(candidate.n_rows);
        for key in &candidate.batch {
            let cost = self.waiting.get(key).map_or(0, QueuedRequest::cost);
            self.classes.charge(key.class, cost);
        }
        self.take(&candidate.batch)
    }

    /// Removes the last requests of lower classes until there is room for so many rows; nothing
    /// when that is impossible.
    pub(crate) fn displace(&mut self, class: u32, n_rows: usize) -> Option<Vec<QueuedRequest<T>>> {
        if !self.can_displace(class, n_rows) {
            return None;
        }
        let (mut displaced, mut n_freed) = (Vec::new(), 0);
        while n_freed < n_rows {
            let (&key, _) = self.waiting.last_key_value()?;
            let waiting = self.remove(key)?;
            n_freed += waiting.cost();
            displaced.push(waiting);
        }
        Some(displaced)
    }

    /// Removes all requests.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest<T>> {
        self.n_rows = 0;
        self.classes = Classes::default();
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Plans the batch that would run now.
    pub(crate) fn plan(&self, constraints: &BatchConstraints<'_>) -> BatchCandidate {
        let favoured = self.favoured();
        let order = || {
            let first = favoured
                .iter()
                .filter_map(|key| self.waiting.get_key_value(key));
            let rest = self.waiting.iter();
            first.chain(rest.filter(|(key, _)| !favoured.contains(key)))
        };
        let mut dropped = Vec::new();
        for (index, (&key, head)) in order().enumerate() {
            let candidate = candidate(order().skip(index), constraints);
            if !constraints.is_late(head, candidate.n_rows) {
                dropped.extend(&candidate.dropped);
                return BatchCandidate {
                    dropped,
                    ..candidate
                };
            }
            dropped.push(key);
            if dropped.len() >= MAX_DROPS {
                break;
            }
        }
        BatchCandidate {
            dropped,
            ..BatchCandidate::default()
        }
    }

    /// Returns requests of lower classes that have enough credit to go first.
    fn favoured(&self) -> Vec<QueueKey> {
        let mut favoured = Vec::new();
        for (class, credit) in self.classes.credits() {
            let mut rest = credit;
            let of_class = self.waiting.iter().filter(|(key, _)| key.class == class);
            for (&key, waiting) in of_class {
                if waiting.cost() > rest {
                    break;
                }
                rest -= waiting.cost();
                favoured.push(key);
            }
        }
        favoured
    }

    /// Returns the arrival of the request that waits longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.arrived).min()
    }

    /// Returns the earliest deadline of the waiting requests.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        let deadlines = self.waiting.values().filter_map(|waiting| waiting.deadline);
        deadlines.min()
    }
}

/// Plans the batch of the first of these requests, whether it can be answered in time or not.
fn candidate<'a, T: 'a>(
    mut line: impl Iterator<Item = (&'a QueueKey, &'a QueuedRequest<T>)>,
    constraints: &BatchConstraints<'_>,
) -> BatchCandidate {
    let mut candidate = BatchCandidate::default();
    let Some((&key, head)) = line.next() else {
        return candidate;
    };
    candidate.add(key, head);
    while candidate.n_rows < constraints.max_rows && head.layout.is_some() {
        let Some((&key, waiting)) = line.next() else {
            return candidate;
        };
        if constraints.is_late(waiting, waiting.n_rows) {
            candidate.dropped.push(key);
        } else if head.can_join(waiting) {
            if candidate.n_rows.saturating_add(waiting.n_rows) > constraints.max_rows {
                break;
            }
            candidate.add(key, waiting);
        }
    }
    candidate.is_full = true;
    candidate
}

#[cfg(test)]
mod tests;
