//! The instances of a loaded version as the scheduler counts them: free, busy until a time, or
//! lost.

use std::time::{Duration, Instant};

/// The state of one instance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    /// Idle since that time; `None` before its first run.
    Free(Option<Instant>),
    /// Running until about that time.
    Busy(Instant),
    /// Lost for good.
    Lost,
}

/// All instances, by number.
#[derive(Debug)]
pub(super) struct Slots(Vec<Slot>);

impl Slots {
    /// Creates `n_instances` free instances.
    pub(super) fn new(n_instances: usize) -> Self {
        Self(vec![Slot::Free(None); n_instances])
    }

    /// Returns the number of instances that are not lost.
    pub(super) fn n_left(&self) -> usize {
        let is_left = |slot: &&Slot| **slot != Slot::Lost;
        self.0.iter().filter(is_left).count()
    }

    /// Returns the number of instances that run nothing.
    pub(super) fn n_free(&self) -> usize {
        let is_free = |slot: &&Slot| matches!(slot, Slot::Free(_));
        self.0.iter().filter(is_free).count()
    }

    /// Makes the instance that is free for the longest time busy, and returns its number.
    pub(super) fn occupy(&mut self, until: Instant) -> Option<usize> {
        let slots = self.0.iter_mut().enumerate();
        let free = slots.filter_map(|(number, slot)| match *slot {
            Slot::Free(since) => Some((since, number, slot)),
            Slot::Busy(_) | Slot::Lost => None,
        });
        let (_, number, slot) = free.min_by_key(|&(since, number, _)| (since, number))?;
        *slot = Slot::Busy(until);
        Some(number)
    }

    /// Makes a busy instance free.
    pub(super) fn release(&mut self, number: usize, now: Instant) {
        if let Some(slot @ Slot::Busy(_)) = self.0.get_mut(number) {
            *slot = Slot::Free(Some(now));
        }
    }

    /// Marks an instance as lost: this one, or any when its thread had none, free ones first.
    pub(super) fn mark_lost(&mut self, number: Option<usize>) {
        let is_free = |slot: &Slot| matches!(slot, Slot::Free(_));
        let is_left = |slot: &Slot| *slot != Slot::Lost;
        let any = || {
            let free = self.0.iter().position(is_free);
            free.or_else(|| self.0.iter().position(is_left))
        };
        let number = number.or_else(any);
        if let Some(slot) = number.and_then(|number| self.0.get_mut(number)) {
            *slot = Slot::Lost;
        }
    }

    /// Predicts the time until an instance is free.
    pub(super) fn time_to_free(&self, now: Instant) -> Duration {
        let times = self.0.iter().filter_map(|slot| match slot {
            Slot::Free(_) => Some(Duration::ZERO),
            Slot::Busy(until) => Some(until.saturating_duration_since(now)),
            Slot::Lost => None,
        });
        times.min().unwrap_or_default()
    }

    /// Returns the time since when the longest idle instance is idle; `None` when it has never run.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self.0.iter().filter_map(|slot| match *slot {
            Slot::Free(since) => Some(since),
            Slot::Busy(_) | Slot::Lost => None,
        });
        since.min().flatten()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    #[test]
    fn the_instance_that_is_idle_for_the_longest_time_is_taken_first() {
        let start = time::Instant::now().into_std();
        let at = |millis| start + Duration::from_millis(millis);
        let mut slots = Slots::new(2);
        assert_eq!(
            (slots.occupy(at(5)), slots.occupy(at(9))),
            (Some(0), Some(1))
        );
        assert_eq!((slots.occupy(at(9)), slots.n_free()), (None, 0));
        assert_eq!(slots.time_to_free(at(2)), Duration::from_millis(3));
        slots.release(1, at(7));
        slots.release(0, at(8));
        assert_eq!(slots.idle_since(), Some(at(7)));
        assert_eq!(slots.occupy(at(20)), Some(1));
        assert_eq!(slots.time_to_free(at(10)), Duration::ZERO);
    }

    #[test]
    fn a_lost_instance_never_comes_back() {
        let now = time::Instant::now().into_std();
        let mut slots = Slots::new(2);
        let busy = slots.occupy(now);
        slots.mark_lost(None);
        assert_eq!(
            (slots.n_left(), slots.n_free()),
            (1, 0),
            "a free one goes first"
        );
        slots.mark_lost(busy);
        slots.release(0, now);
        assert_eq!((slots.n_left(), slots.n_free()), (0, 0));
    }
}
