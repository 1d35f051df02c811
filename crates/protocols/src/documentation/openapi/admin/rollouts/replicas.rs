//! Operations between servers that share a rollout.

use api::components::{self, Component};
use api::rollout::{CountedReplicas, LeaderState, ReplicaCounts};
use utoipa::openapi::path::HttpMethod;

use super::super::super::endpoint::Endpoint;
use super::super::super::media::json_body;
use super::super::super::purpose::Purpose;
use super::endpoint;

/// Returns the operations.
pub(super) fn endpoints() -> [Endpoint; 2] {
    let leader = endpoint(
        HttpMethod::Get,
        "/api/rollouts/leader",
        "leaderState",
        "Show the state of rollouts to followers",
        "LeaderState",
    );
    let count = endpoint(
        HttpMethod::Post,
        "/api/rollouts/{rollout}/replicas/{replica}",
        "countReplica",
        "Report the counts of a follower; the same counts may be sent twice",
        "CountedReplicas",
    );
    let leader = Endpoint {
        purpose: Purpose::RolloutLeader,
        ..leader
    };
    let count = Endpoint {
        purpose: Purpose::RolloutAction,
        body: Some(json_body("ReplicaCounts", Vec::new())),
        ..count
    };
    [leader, count]
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<Component> {
    let mut schemas = Vec::new();
    components::add::<LeaderState>(&mut schemas);
    components::add::<ReplicaCounts>(&mut schemas);
    components::add::<CountedReplicas>(&mut schemas);
    schemas
}
