//! Documents that servers with a common rollout exchange: the state of the leader, and the counts of
//! a replica. A leader and a follower persist them too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stats::means::difference::Moments;
use utoipa::ToSchema;

use super::{RolloutReport, RolloutVerdict, Status};

/// The running rollouts, and the result of the last rollout of each other model.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeaderState {
    /// The version of this format.
    pub format: u32,
    /// The rollouts.
    pub rollouts: Vec<LeaderRollout>,
}

/// One rollout of the leader.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeaderRollout {
    /// The name of the rollout.
    pub id: String,
    /// The rollout file, as it was started.
    pub file: String,
    /// The traffic weight of the candidate.
    #[schema(minimum = 0, maximum = 1)]
    pub weight: f64,
    /// Grows with every transition.
    pub generation: u64,
    /// The version that won; none while the rollout runs.
    #[schema(required)]
    pub winner: Option<String>,
    /// The status, which a follower shows as it came.
    #[schema(value_type = Status)]
    pub status: Box<RawValue>,
    /// The evidence, likewise.
    #[schema(value_type = RolloutReport)]
    pub evidence: Box<RawValue>,
    /// The verdict, likewise.
    #[schema(value_type = RolloutVerdict)]
    pub verdict: Box<RawValue>,
}

/// Counts since a replica began to follow; they never fall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaCounts {
    /// The version of this format.
    pub format: u32,
    /// The generation that the replica had applied.
    pub generation: u64,
    /// The longest run of errors of the candidate in that generation.
    pub error_run: u64,
    /// The counts of stable.
    pub stable: ReplicaArmCounts,
    /// The counts of the candidate.
    pub candidate: ReplicaArmCounts,
}

/// Counts of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaArmCounts {
    /// Failed requests.
    pub errors: u64,
    /// Answers with NaN or infinity.
    pub nan_outputs: u64,
    /// Latencies by bucket; their sum is the number of answered requests.
    pub total: BTreeMap<u8, u64>,
    /// Times before the run, by bucket.
    pub queue: BTreeMap<u8, u64>,
    /// Run times, by bucket.
    pub infer: BTreeMap<u8, u64>,
    /// Rows by class or bin.
    pub outputs: Vec<u64>,
    /// Rewards.
    pub rewards: RewardSums,
}

/// Sums of the rewards of one arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RewardSums {
    /// The number of rewards.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
}

/// The number of replicas that have reported counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountedReplicas {
    /// The number of replicas.
    pub replicas: usize,
}

impl From<Moments> for RewardSums {
    fn from(moments: Moments) -> Self {
        Self {
            n: moments.n,
            sum: moments.sum,
            sum_squares: moments.sum_squares,
        }
    }
}

impl From<RewardSums> for Moments {
    fn from(sums: RewardSums) -> Self {
        Self {
            n: sums.n,
            sum: sums.sum,
            sum_squares: sums.sum_squares,
        }
    }
}
