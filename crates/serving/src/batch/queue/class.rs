//! What waits in each priority class, and what the lower ones have saved up.
//!
//! Rule: while several classes wait, each but the first gets a twentieth of the rows that run, or
//! an equal part of half of them when there are more than ten. Whatever runs of it is paid from
//! that. A class that has nobody waiting has nothing saved.

use smallvec::SmallVec;

use crate::batch::curve::{float, whole};

/// What each lower class gets.
const SHARE: f64 = 0.05;

/// What all lower classes get together at most.
const MAX_SHARES: f64 = 0.5;

/// Savings end here, so that a class that could not use them does not flood the others later.
const MAX_CREDIT: f64 = 65_536.0;

/// Waiting requests of one class.
#[derive(Clone, Copy, Debug)]
struct Class {
    class: u32,
    n_rows: usize,
    n_waiting: usize,
    /// Rows that it may run ahead of others.
    credit: f64,
}

/// The classes that wait, in the order of service.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes(SmallVec<[Class; 2]>);

impl Classes {
    /// A request begins to wait.
    pub(super) fn add(&mut self, class: u32, n_rows: usize) {
        let index = match self.0.binary_search_by_key(&class, |known| known.class) {
            Ok(index) => index,
            Err(index) => {
                let new = Class {
                    class,
                    n_rows: 0,
                    n_waiting: 0,
                    credit: 0.0,
                };
                self.0.insert(index, new);
                index
            }
        };
        if let Some(known) = self.0.get_mut(index) {
            known.n_rows += n_rows;
            known.n_waiting += 1;
        }
    }

    /// A request waits no longer.
    pub(super) fn remove(&mut self, class: u32, n_rows: usize) {
        let Ok(index) = self.0.binary_search_by_key(&class, |known| known.class) else {
            return;
        };
        if let Some(known) = self.0.get_mut(index) {
            known.n_rows -= n_rows;
            known.n_waiting -= 1;
            if known.n_waiting == 0 {
                self.0.remove(index);
            }
        }
    }

    /// Rows and requests of this class and those before it.
    pub(super) fn up_to(&self, class: u32) -> (usize, usize) {
        let before = self.0.iter().take_while(|known| known.class <= class);
        before.fold((0, 0), |(n_rows, n_waiting), known| {
            (n_rows + known.n_rows, n_waiting + known.n_waiting)
        })
    }

    /// The classes, in the order of service.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().map(|known| known.class)
    }

    /// So many rows run while all of these wait.
    pub(super) fn credit(&mut self, n_rows: usize) {
        let n_lower = self.0.len().saturating_sub(1);
        let share = SHARE.min(MAX_SHARES / float(n_lower.max(1)));
        for lower in self.0.iter_mut().skip(1) {
            lower.credit = (lower.credit + share * float(n_rows)).min(MAX_CREDIT);
        }
    }

    /// So many rows of a class run.
    pub(super) fn charge(&mut self, class: u32, n_rows: usize) {
        if let Ok(index) = self.0.binary_search_by_key(&class, |known| known.class)
            && let Some(known) = self.0.get_mut(index)
        {
            known.credit = (known.credit - float(n_rows)).max(0.0);
        }
    }

    /// Lower classes with savings of a row or more, and the rows.
    pub(super) fn credits(&self) -> impl Iterator<Item = (u32, usize)> {
        // A row is owned when nearly all of it is saved: twenty twentieths are not quite one.
        let rows = |class: &Class| whole((class.credit + 1e-3).floor());
        let lower = self.0.iter().skip(1);
        lower
            .map(move |class| (class.class, rows(class)))
            .filter(|&(_, rows)| rows > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs batches of 10 rows of the first class; gives what the others have saved.
    fn saved(n_lower: u32, n_batches: usize) -> Vec<usize> {
        let mut classes = Classes::default();
        for class in 0..=n_lower {
            classes.add(class, 1);
        }
        for _ in 0..n_batches {
            classes.credit(10);
            classes.charge(0, 10);
        }
        classes.credits().map(|(_, rows)| rows).collect()
    }

    #[test]
    fn each_lower_class_saves_a_twentieth_and_all_together_at_most_half() {
        assert!(saved(0, 100).is_empty());
        assert!(saved(2, 1).is_empty(), "half a row is none");
        assert_eq!(saved(2, 100), [50, 50]);
        assert_eq!(saved(20, 100), [25; 20]);
    }

    #[test]
    fn what_runs_is_paid_and_a_class_that_is_gone_has_saved_nothing() {
        let mut classes = Classes::default();
        classes.add(1, 4);
        classes.add(2, 3);
        assert_eq!((classes.up_to(1), classes.up_to(2)), ((4, 1), (7, 2)));
        classes.credit(100);
        classes.charge(2, 3);
        assert_eq!(classes.credits().collect::<Vec<_>>(), [(2, 2)]);
        classes.remove(2, 3);
        classes.add(2, 3);
        assert_eq!(classes.credits().count(), 0);
    }
}
