//! The route of a request that counts.

use std::sync::Arc;
use std::time::Duration;

use contract::{Error, InferResponse, Result};

use crate::control::snapshot::ServedVersion;
use crate::route::{ActiveArm, Mirror, Outcome, RequestFingerprint};

/// The handle of a request that counts for an arm of a split, or may be mirrored.
#[derive(Debug)]
pub(super) struct CountedRoute {
    /// The version that answers.
    pub(super) served: Arc<ServedVersion>,
    /// The arm that the answer counts for.
    pub(super) arm: Option<Arc<ActiveArm>>,
    /// The mirror that gets a copy of the request.
    pub(super) mirror: Option<Arc<Mirror>>,
}

impl CountedRoute {
    /// Records the answer for the arm, if there is one.
    pub(super) fn record(
        &self,
        request: RequestFingerprint,
        result: &Result<InferResponse>,
        latency: Duration,
    ) {
        let Some(arm) = &self.arm else { return };
        let response = result.as_ref().ok();
        let outcome = Outcome {
            error: result.as_ref().err().map(Error::code),
            latency,
            timings: response.map(|response| response.timings),
            outputs: response.map_or(&[], |response| &response.outputs),
        };
        arm.record(request, &outcome);
    }
}
