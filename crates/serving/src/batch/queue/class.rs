//! Waiting rows of each priority class, and the credit of the lower classes.
//!
//! Rule: while several classes wait, each but the first earns a twentieth of the rows that run, or
//! an equal part of half of them when there are more than ten. Rows of the class that run reduce
//! its credit. A class without waiting requests has no credit.

use smallvec::SmallVec;

use crate::batch::curve::{float, whole};

/// The share of each lower class.
const SHARE: f64 = 0.05;

/// The largest share of all lower classes together.
const MAX_SHARES: f64 = 0.5;

/// The largest credit, so that a class that could not use it does not flood the others later.
const MAX_CREDIT: f64 = 65_536.0;

/// The waiting requests of one class.
#[derive(Clone, Copy, Debug)]
struct Class {
    class: u32,
    n_rows: usize,
    n_waiting: usize,
    /// The rows that may run ahead of other classes.
    credit: f64,
}

/// The classes that wait, in the order of service.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes(SmallVec<[Class; 2]>);

impl Classes {
    /// Adds a request that begins to wait.
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

    /// Removes a request that no longer waits.
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

    /// Returns the rows and requests of this class and those before it.
    pub(super) fn up_to(&self, class: u32) -> (usize, usize) {
        let before = self.0.iter().take_while(|known| known.class <= class);
        before.fold((0, 0), |(n_rows, n_waiting), known| {
            (n_rows + known.n_rows, n_waiting + known.n_waiting)
        })
    }

    /// Returns the classes, in the order of service.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().map(|known| known.class)
    }

    /// Credits the lower classes for `n_rows` rows that run while they wait.
    pub(super) fn credit(&mut self, n_rows: usize) {
        let n_lower = self.0.len().saturating_sub(1);
        let share = SHARE.min(MAX_SHARES / float(n_lower.max(1)));
        for lower in self.0.iter_mut().skip(1) {
            lower.credit = (lower.credit + share * float(n_rows)).min(MAX_CREDIT);
        }
    }

    /// Charges a class for `n_rows` rows of it that run.
    pub(super) fn charge(&mut self, class: u32, n_rows: usize) {
        if let Ok(index) = self.0.binary_search_by_key(&class, |known| known.class)
            && let Some(known) = self.0.get_mut(index)
        {
            known.credit = (known.credit - float(n_rows)).max(0.0);
        }
    }

    /// Returns the lower classes with a credit of a row or more, and the rows.
    pub(super) fn credits(&self) -> impl Iterator<Item = (u32, usize)> {
        // A row counts when nearly all of it is earned: twenty twentieths are not quite one.
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

    /// Runs batches of 10 rows of the first class. Returns the credit of the others.
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
