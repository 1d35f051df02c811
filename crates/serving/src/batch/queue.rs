//! The line of waiting requests, and which of them would run together.
//!
//! Input: requests with rows, layout, priority, arrival and deadline. Rule: strict order by
//! priority, first in first out within one. The first request that has not expired heads the
//! batch; later ones of the same layout join it in order, those of another layout are passed over,
//! and the first of the same layout that does not fit ends the batch, so that a large request is
//! never overtaken by smaller ones of its kind for ever. A head above the limit runs alone.
//! Expired requests are found on the way, not searched for: the callers watch their own deadlines.
//! Rejected: a queue per layout, which would need a rule of fairness between queues.

use std::collections::BTreeMap;
use std::time::Instant;

use super::join::RowLayout;

/// Where a request stands in line: the order of places is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    class: u32,
    sequence: u64,
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
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

impl<T> Waiting<T> {
    /// Rows as the bound of the queue counts them: an empty request takes room as well.
    pub(crate) fn cost(&self) -> usize {
        self.n_rows.max(1)
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn can_join(&self, other: &Self) -> bool {
        self.layout.is_some() && self.layout == other.layout
    }

    fn class(&self) -> u32 {
        match self.priority {
            0 => u32::MAX,
            priority => priority,
        }
    }
}

/// Who would run now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Requests in front of the batch whose deadline has passed.
    pub(crate) expired: Vec<Place>,
    /// The requests of the batch, in order.
    pub(crate) batch: Vec<Place>,
    /// Whether waiting longer cannot add to the batch.
    pub(crate) is_full: bool,
}

/// Waiting requests in the order of service.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: BTreeMap<Place, Waiting<T>>,
    next_sequence: u64,
    n_rows: usize,
}

impl<T> Queue<T> {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
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

    /// Puts a request in line.
    pub(crate) fn push(&mut self, waiting: Waiting<T>) -> Place {
        let place = Place {
            class: waiting.class(),
            sequence: self.next_sequence,
        };
        self.next_sequence += 1;
        self.n_rows += waiting.cost();
        self.waiting.insert(place, waiting);
        place
    }

    /// Takes a request out of line, if it still waits.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Waiting<T>> {
        let waiting = self.waiting.remove(&place)?;
        self.n_rows -= waiting.cost();
        Some(waiting)
    }

    /// Takes requests out of line.
    pub(crate) fn take(&mut self, places: &[Place]) -> Vec<Waiting<T>> {
        places
            .iter()
            .filter_map(|&place| self.remove(place))
            .collect()
    }

    /// Takes all requests out of line.
    pub(crate) fn drain(&mut self) -> Vec<Waiting<T>> {
        self.n_rows = 0;
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// The batch that would be cut now, of at most `max_rows`.
    pub(crate) fn plan(&self, now: Instant, max_rows: usize) -> Cut {
        let mut cut = Cut::default();
        let mut head: Option<&Waiting<T>> = None;
        let mut n_rows = 0_usize;
        for (&place, waiting) in &self.waiting {
            if waiting.is_expired(now) {
                cut.expired.push(place);
                continue;
            }
            match head {
                Some(head) if !head.can_join(waiting) => continue,
                Some(_) if n_rows.saturating_add(waiting.n_rows) > max_rows => {
                    cut.is_full = true;
                    break;
                }
                Some(_) => {}
                None => head = Some(waiting),
            }
            cut.batch.push(place);
            n_rows += waiting.n_rows;
            if n_rows >= max_rows || waiting.layout.is_none() {
                cut.is_full = true;
                break;
            }
        }
        cut
    }

    /// When the request that waits longest came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.arrived).min()
    }

    /// The first deadline that any waiting request has.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.waiting
            .values()
            .filter_map(|waiting| waiting.deadline)
            .min()
    }
}

#[cfg(test)]
mod tests;
