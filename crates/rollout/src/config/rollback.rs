//! Actions after a rollback.

use std::time::Duration;

/// Actions after a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRollback {
    /// The time for which the candidate stays loaded.
    pub keep_candidate_warm: Duration,
}
