//! Observations of the requests of a rollout, in the form that its statistics need.
//!
//! Decision: a request without a unit is an observation of its own and arrives as counts. A unit is
//! one observation in its assignment epoch, whatever it sends, because its errors belong to it: its
//! first request for "not worse", its first error for "worse". Units arrive one by one, so that a
//! unit that several servers or processes saw is still counted once.

use stats::arm_totals::ArmTotals;
use stats::observation::UnitObservation;

pub use crate::evidence::Arms;

/// Observations at one weight, since the last sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// The traffic weight of the candidate when the requests were assigned.
    pub weight: f64,
    /// The epoch in which the units were assigned.
    pub assignment_epoch: u64,
    /// Requests without a unit.
    pub requests: Arms<ArmTotals>,
    /// Requests without a unit that were assigned, also those that have no result.
    pub assigned: Arms<u64>,
    /// First requests and first errors of units.
    pub units: Vec<UnitObservation>,
}
