//! The observations of units that a rollout has not sampled yet.
//!
//! Input: the first request and the errors of each unit of one epoch. Rule: each event of a unit
//! enters once, so that repeated requests of one user are one observation. Cold start: an empty log;
//! after a restart units enter again, and the rollout leaves out those that it has counted. The log
//! is bounded by the set of units.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stats::observation::{UnitEvent, UnitObservation};

use super::seen_units::SeenUnits;

/// Observations of units at one weight.
#[derive(Debug)]
pub(crate) struct UnitLog {
    /// Units with an error in this epoch, shared by the logs of all its weights.
    failed_units: Arc<SeenUnits>,
    waiting: Mutex<Vec<UnitObservation>>,
}

impl UnitLog {
    /// Creates an empty log.
    pub(super) fn new(failed_units: Arc<SeenUnits>) -> Self {
        Self {
            failed_units,
            waiting: Mutex::default(),
        }
    }

    /// Returns the units with an error in this epoch.
    pub(super) fn failed_units(&self) -> Arc<SeenUnits> {
        Arc::clone(&self.failed_units)
    }

    /// Adds an observation; of the errors of a unit only the first.
    pub(super) fn add(&self, observation: UnitObservation) {
        let is_new = match observation.event {
            UnitEvent::FirstRequest(_) => true,
            UnitEvent::FirstError => self.failed_units.insert(observation.fingerprint),
        };
        if is_new {
            self.lock().push(observation);
        }
    }

    /// Takes the observations since the last call.
    pub(crate) fn take(&self) -> Vec<UnitObservation> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnitObservation>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
