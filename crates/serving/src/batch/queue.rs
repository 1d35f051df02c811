//! The line of waiting requests, and which of them would run together.
//!
//! Input: requests with rows, layout, priority, arrival and deadline. Rule: strict order by
//! priority, the earliest deadline first within one; a request without deadline stands where one of
//! ten seconds would. Each lower priority that waits saves up a twentieth of the rows that run, and
//! its first request goes ahead of everybody once that is enough, so that it never starves. The
//! first request that can still be answered in time, as part of its batch, heads the batch; those
//! before it are dropped. Later ones of the same layout join in order, those of another layout are
//! passed over, and the first of the same layout that does not fit ends the batch, so that a large
//! request is never overtaken by smaller ones of its kind for ever. A head above the limit runs
//! alone. Rejected: shrinking a batch to save its oldest request, which lets the queue collapse; a
//! queue per layout, which would need a rule of fairness between queues.

mod class;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::join::RowLayout;
use class::Classes;

/// Where a request without deadline stands among others: nobody waits longer for a machine that
/// says nothing.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// Requests that one plan drops; whoever drops them asks again, and lets others in between.
const MAX_DROPS: usize = 32;

/// Where a request stands in line: the order of places is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    class: u32,
    due: Instant,
    sequence: u64,
}

/// A priority as a number that grows with patience.
pub(crate) fn class(priority: u32) -> u32 {
    match priority {
        0 => u32::MAX,
        priority => priority,
    }
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct QueuedRequest<T> {
    /// Rows that it adds to a batch.
    pub(crate) n_rows: usize,
    /// What a row looks like; requests with equal layouts may share a batch. `None` runs alone.
    pub(crate) layout: Option<RowLayout>,
    /// 1 is the most urgent, larger numbers wait longer, and 0 waits for all of them.
    pub(crate) priority: u32,
    /// When it came.
    pub(crate) arrived: Instant,
    /// When its answer is worth nothing any more.
    pub(crate) deadline: Option<Instant>,
    /// What the queue does not look at.
    pub(crate) request: T,
}

impl<T> QueuedRequest<T> {
    /// Rows as the bound of the queue counts them: an empty request takes room as well.
    pub(crate) fn cost(&self) -> usize {
        self.n_rows.max(1)
    }

    /// The class of its priority.
    pub(crate) fn class(&self) -> u32 {
        class(self.priority)
    }

    fn can_join(&self, other: &Self) -> bool {
        self.layout.is_some() && self.layout == other.layout
    }
}

/// What a plan goes by.
pub(crate) struct BatchConstraints<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// The most rows of a batch.
    pub(crate) max_rows: usize,
    /// How long a run of so many rows takes at most; nothing as long as nothing is known.
    pub(crate) run_time: &'a dyn Fn(usize) -> Duration,
    /// Requests without deadline that came before this are dropped.
    pub(crate) shed_before: Option<Instant>,
}

impl BatchConstraints<'_> {
    /// Whether a request that runs now with so many rows is late.
    fn is_late<T>(&self, waiting: &QueuedRequest<T>, n_rows: usize) -> bool {
        match waiting.deadline {
            Some(deadline) => deadline <= self.now || deadline < self.now + (self.run_time)(n_rows),
            None => self.shed_before.is_some_and(|time| waiting.arrived < time),
        }
    }
}

/// Who would run now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchCandidate {
    /// Requests in front of the batch that would be late.
    pub(crate) dropped: Vec<QueueKey>,
    /// The requests of the batch, in order.
    pub(crate) batch: Vec<QueueKey>,
    /// The rows of the batch.
    pub(crate) n_rows: usize,
    /// Whether waiting longer cannot add to the batch.
    pub(crate) is_full: bool,
    /// When the last request of the batch came.
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
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            classes: Classes::default(),
            next_sequence: 0,
            n_rows: 0,
        }
    }

    /// Waiting requests.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Rows of the waiting requests.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Rows and requests that a newcomer of this class finds ahead of it.
    pub(crate) fn ahead_of(&self, class: u32) -> (usize, usize) {
        self.classes.up_to(class)
    }

    /// The classes that wait, in the order of service. What a newcomer finds ahead of it changes
    /// from each of them on.
    pub(crate) fn classes(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.classes.iter()
    }

    /// Whether a newcomer of this class may take the place of so many rows of lower ones.
    pub(crate) fn can_displace(&self, class: u32, n_rows: usize) -> bool {
        self.n_rows - self.classes.up_to(class).0 >= n_rows
    }

    /// Puts a request in line.
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

    /// Takes a request out of line, if it still waits.
    pub(crate) fn remove(&mut self, key: QueueKey) -> Option<QueuedRequest<T>> {
        let waiting = self.waiting.remove(&key)?;
        self.n_rows -= waiting.cost();
        self.classes.remove(key.class, waiting.cost());
        Some(waiting)
    }

    /// Takes requests out of line.
    pub(crate) fn take(&mut self, keys: &[QueueKey]) -> Vec<QueuedRequest<T>> {
        keys.iter().filter_map(|&key| self.remove(key)).collect()
    }

    /// Whether all requests of the batch of a cut are so.
    pub(crate) fn all(&self, candidate: &BatchCandidate, is_so: impl Fn(&T) -> bool) -> bool {
        let mut batch = candidate.batch.iter();
        batch.all(|key| {
            self.waiting
                .get(key)
                .is_some_and(|waiting| is_so(&waiting.request))
        })
    }

    /// Takes the batch of a cut out of line, which the lower classes that wait are credited for.
    pub(crate) fn take_batch(&mut self, candidate: &BatchCandidate) -> Vec<QueuedRequest<T>> {
        self.classes.credit(candidate.n_rows);
        for key in &candidate.batch {
            let cost = self.waiting.get(key).map_or(0, QueuedRequest::cost);
            self.classes.charge(key.class, cost);
        }
        self.take(&candidate.batch)
    }

    /// Takes the last requests of lower classes out of line until there is room for so many rows;
    /// nothing when that cannot be.
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

    /// Takes all requests out of line.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest<T>> {
        self.n_rows = 0;
        self.classes = Classes::default();
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// The batch that would be cut now.
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

    /// Requests of lower classes that have saved enough to go first.
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

    /// When the request that waits longest came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.arrived).min()
    }

    /// The first deadline that any waiting request has.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        let deadlines = self.waiting.values().filter_map(|waiting| waiting.deadline);
        deadlines.min()
    }
}

/// The batch of the first of these requests, whether it can be answered in time or not.
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
