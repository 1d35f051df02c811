//! The Prometheus queries of the guards of a rollout.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A Prometheus query of a guard and its last answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutGuardQuery)]
pub struct GuardQueryStatus {
    /// The name of the query.
    pub name: String,
    /// The number of values in a row outside the limits.
    pub failures: u32,
    /// The number of them that rolls back.
    #[schema(required)]
    pub failure_limit: Option<u32>,
    /// The last answer, in a few words.
    #[schema(required)]
    pub last_answer: Option<String>,
    /// The time of the last question.
    #[schema(required, format = DateTime)]
    pub asked_at: Option<String>,
}
