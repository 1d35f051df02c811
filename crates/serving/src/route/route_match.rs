//! The result of routing one request.

use std::sync::Arc;

use bytes::Bytes;

use super::active_split::ActiveArm;
use super::counters::AssignedUnit;
use super::mirror::Mirror;

/// Result of routing one request.
#[derive(Debug)]
pub(crate) struct RouteMatch<'a, T> {
    /// Handle of the version that answers.
    pub(crate) handle: &'a T,
    /// Name of the arm of the split.
    pub(crate) arm: Option<&'a Bytes>,
    /// Probability of the arm, when a bandit sets the weights.
    pub(crate) propensity: Option<&'a Bytes>,
    /// Arm for which the request is counted; `None` when it has no arm or was forced into one.
    pub(crate) counted_arm: Option<&'a Arc<ActiveArm>>,
    /// Unit of the request, when it has one.
    pub(crate) unit: Option<AssignedUnit>,
    /// Mirror that may copy the request.
    pub(crate) mirror: Option<&'a Arc<Mirror>>,
}

impl<'a, T> RouteMatch<'a, T> {
    /// Returns the match of a request that belongs to no arm.
    pub(super) fn without_arm(handle: &'a T) -> Self {
        Self {
            handle,
            arm: None,
            propensity: None,
            counted_arm: None,
            unit: None,
            mirror: None,
        }
    }
}
