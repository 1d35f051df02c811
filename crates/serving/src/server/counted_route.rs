//! The route of a request that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::{Error, InferResponse, Result};

use crate::control::snapshot::ServedVersion;
use crate::route::{ActiveArm, AssignedUnit, Mirror, Outcome, RequestFingerprint};

/// The handle of a request that counts for an arm of a split, or may be mirrored.
#[derive(Debug)]
pub(super) struct CountedRoute {
    /// The version that answers.
    pub(super) served: Arc<ServedVersion>,
    /// The arm that the answer counts for.
    pub(super) arm: Option<CountedArm>,
    /// The mirror that gets a copy of the request.
    pub(super) mirror: Option<Arc<Mirror>>,
}

/// The arm of a request. A first request of a unit leaves a record even when it ends without a
/// result, because the caller went away.
#[derive(Debug)]
pub(super) struct CountedArm {
    arm: Arc<ActiveArm>,
    unit: Option<AssignedUnit>,
    is_recorded: AtomicBool,
}

impl CountedArm {
    /// Creates the arm of a request with this unit.
    pub(super) fn new(arm: Arc<ActiveArm>, unit: Option<AssignedUnit>) -> Self {
        Self {
            arm,
            unit,
            is_recorded: AtomicBool::new(false),
        }
    }
}

impl CountedRoute {
    /// Returns whether the request may be copied for a comparison: a unit is compared once.
    pub(super) fn is_first_of_its_unit(&self) -> bool {
        let unit = self.arm.as_ref().and_then(|counted| counted.unit);
        unit.is_none_or(|unit| unit.is_first)
    }

    /// Records the answer for the arm, if there is one.
    pub(super) fn record(
        &self,
        request: RequestFingerprint,
        result: &Result<InferResponse>,
        latency: Duration,
    ) {
        let Some(counted) = &self.arm else { return };
        let response = result.as_ref().ok();
        let outcome = Outcome {
            error: result.as_ref().err().map(Error::code),
            latency,
            timings: response.map(|response| response.timings),
            outputs: response.map_or(&[], |response| &response.outputs),
            unit: counted.unit,
        };
        counted.is_recorded.store(true, Ordering::Relaxed);
        counted.arm.record(request, &outcome);
    }
}

impl Drop for CountedArm {
    fn drop(&mut self) {
        if let Some(unit) = self.unit.filter(|unit| unit.is_first)
            && !*self.is_recorded.get_mut()
        {
            self.arm.record_without_result(unit);
        }
    }
}
