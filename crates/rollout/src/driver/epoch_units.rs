//! The units of the current assignment epoch that were counted, and their persisted journal.
//!
//! Rule: a unit is counted once in its epoch, also after a restart. New fingerprints are appended to
//! a journal in the transaction of the evidence made from them; a new epoch clears it. Cold start:
//! no units. Recovery: the journal is read back; entries of another epoch are ignored.

use serde::{Deserialize, Serialize};
use stats::observation::UnitEvent;
use stats::units::CountedUnits;

use super::observations::Observations;

/// Units that were counted in one assignment epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EpochUnits {
    assignment_epoch: u64,
    requests: CountedUnits,
    errors: CountedUnits,
    /// Units that are not in the journal yet.
    unsaved: JournalEntry,
    /// Set when the journal may hold another epoch, or an earlier run of the same id.
    is_new: bool,
}

/// One entry of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JournalEntry {
    assignment_epoch: u64,
    /// Fingerprints of units whose first request was counted.
    requests: Vec<u64>,
    /// Fingerprints of units whose first error was counted.
    errors: Vec<u64>,
}

/// A change of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournalChange {
    /// Set when earlier entries go, because they are of another epoch.
    pub(super) clears: bool,
    /// The entry to append.
    pub(super) entry: JournalEntry,
}

impl Default for EpochUnits {
    fn default() -> Self {
        Self {
            assignment_epoch: 0,
            requests: CountedUnits::default(),
            errors: CountedUnits::default(),
            unsaved: JournalEntry::default(),
            is_new: true,
        }
    }
}

impl EpochUnits {
    /// Creates the units of the last epoch in a journal.
    pub(super) fn restored(entries: Vec<JournalEntry>) -> Self {
        let epochs = entries.iter().map(|entry| entry.assignment_epoch);
        let mut units = Self::default();
        units.set_epoch(epochs.max().unwrap_or_default());
        for entry in entries {
            if entry.assignment_epoch == units.assignment_epoch {
                for fingerprint in entry.requests {
                    units.requests.insert(fingerprint);
                }
                for fingerprint in entry.errors {
                    units.errors.insert(fingerprint);
                }
            }
        }
        units.is_new = false;
        units
    }

    /// Starts an epoch, unless it is the current one.
    fn set_epoch(&mut self, assignment_epoch: u64) {
        if self.assignment_epoch != assignment_epoch {
            *self = Self {
                assignment_epoch,
                unsaved: JournalEntry {
                    assignment_epoch,
                    ..JournalEntry::default()
                },
                ..Self::default()
            };
        }
    }

    /// Counts the observed units, and removes those from the observations that were counted before.
    pub(super) fn retain_new(&mut self, observations: &mut [Observations]) {
        for observations in observations {
            self.set_epoch(observations.assignment_epoch);
            observations.units.retain(|unit| match unit.event {
                UnitEvent::FirstRequest(_) => self.insert_request(unit.fingerprint),
                UnitEvent::FirstError => self.insert_error(unit.fingerprint),
            });
        }
    }

    /// Returns whether the first request of a unit is to be counted.
    fn insert_request(&mut self, fingerprint: u64) -> bool {
        let is_new = self.requests.insert(fingerprint);
        if is_new {
            self.unsaved.requests.push(fingerprint);
        }
        is_new
    }

    /// Returns whether the first error of a unit is to be counted.
    fn insert_error(&mut self, fingerprint: u64) -> bool {
        let is_new = self.errors.insert(fingerprint);
        if is_new {
            self.unsaved.errors.push(fingerprint);
        }
        is_new
    }

    /// Returns the change that brings the journal up to date; `None` when it is.
    pub(super) fn change(&self) -> Option<JournalChange> {
        let JournalEntry {
            requests, errors, ..
        } = &self.unsaved;
        let has_units = !requests.is_empty() || !errors.is_empty();
        has_units.then(|| JournalChange {
            clears: self.is_new,
            entry: self.unsaved.clone(),
        })
    }

    /// Notes that the last change was written.
    pub(super) fn saved(&mut self) {
        self.unsaved.requests.clear();
        self.unsaved.errors.clear();
        self.is_new = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted_once_also_after_a_restart_and_again_in_the_next_epoch() {
        let mut journal: Vec<JournalEntry> = Vec::new();
        let mut units = EpochUnits::default();
        let mut write = |units: &mut EpochUnits| {
            if let Some(change) = units.change() {
                if change.clears {
                    journal.clear();
                }
                journal.push(change.entry);
                units.saved();
            }
            journal.clone()
        };
        units.set_epoch(7);
        assert!(units.insert_request(1) && units.insert_error(1));
        assert_eq!(write(&mut units).len(), 1);
        assert_eq!(units.change(), None, "it was written");
        assert!(units.insert_request(2));
        let mut restored = EpochUnits::restored(write(&mut units));
        restored.set_epoch(7);
        assert_eq!(restored.change(), None);
        assert!(!restored.insert_request(1) && !restored.insert_request(2));
        assert!(!restored.insert_error(1) && restored.insert_error(2));
        restored.set_epoch(8);
        assert!(restored.insert_request(1));
        assert_eq!(write(&mut restored).len(), 1, "the journal was cleared");
    }
}
