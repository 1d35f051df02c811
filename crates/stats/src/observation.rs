//! Observations of units: the events that count once for each unit.
//!
//! Decision: an observation carries the fingerprint of its unit, so that one that several servers or
//! processes made is still counted once.

use super::arm_totals::ArmTotals;

/// An observation of one unit in one assignment epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitObservation {
    /// Fingerprint of the unit.
    pub fingerprint: u64,
    /// Set for units of the candidate.
    pub is_candidate: bool,
    /// The observed event.
    pub event: UnitEvent,
}

/// An event that counts once for each unit.
#[derive(Clone, Debug, PartialEq)]
pub enum UnitEvent {
    /// Its first request; `None` when the caller made a mistake or went away.
    FirstRequest(Option<FirstRequest>),
    /// Its first error.
    FirstError,
}

/// Result of the first request of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstRequest {
    /// Set when it failed.
    pub is_error: bool,
    /// Bucket of the latency by span: total, queue, infer. Meaningless when it failed.
    pub latencies: [u8; 3],
    /// Output bin of its first row, where it has one.
    pub output_bin: Option<u8>,
}

impl FirstRequest {
    /// Adds the request to totals.
    pub fn add_to(&self, totals: &mut ArmTotals) {
        if self.is_error {
            totals.n_errors += 1;
            return;
        }
        totals.n_answered += 1;
        for (histogram, bucket) in totals.latencies.iter_mut().zip(self.latencies) {
            histogram.add_to_bucket(bucket);
        }
        let Some(bin) = self.output_bin.map(usize::from) else {
            return;
        };
        if totals.outputs.len() <= bin {
            totals.outputs.resize(bin + 1, 0);
        }
        if let Some(count) = totals.outputs.get_mut(bin) {
            *count += 1;
        }
    }
}
