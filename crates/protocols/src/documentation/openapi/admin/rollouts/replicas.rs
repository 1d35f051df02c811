//! Operations between servers that share a rollout.

use api::components::{self, Component};
use api::rollout::CountedReplicas;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::Type;

use super::super::super::endpoint::Endpoint;
use super::super::super::media::json_body;
use super::super::super::purpose::Purpose;
use super::super::super::schema::{
    AnySchema, component, count, either, list, map, object, required, scalar, text,
};
use super::super::share;
use super::endpoint;

/// Returns the operations.
pub(super) fn endpoints() -> [Endpoint; 2] {
    let following = endpoint(
        HttpMethod::Get,
        "/api/rollouts/following",
        "followRollouts",
        "Show the state of rollouts to followers",
        "FollowedRollouts",
    );
    let count = endpoint(
        HttpMethod::Post,
        "/api/rollouts/{rollout}/replicas/{replica}",
        "countReplica",
        "Report the counts of a follower; the same counts may be sent twice",
        "CountedReplicas",
    );
    let following = Endpoint {
        purpose: Purpose::RolloutLeader,
        ..following
    };
    let count = Endpoint {
        purpose: Purpose::RolloutAction,
        body: Some(json_body("ReplicaCounts", Vec::new())),
        ..count
    };
    [following, count]
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<Component> {
    let mut schemas = vec![
        ("FollowedRollouts".to_owned(), followed()),
        ("ReplicaCounts".to_owned(), replica_counts()),
    ];
    components::add::<CountedReplicas>(&mut schemas);
    schemas
}

fn followed() -> AnySchema {
    let rollout = object(
        "",
        [
            required("id", text("")),
            required("file", text("The rollout file, as it was started")),
            required("weight", share("The traffic weight of the candidate")),
            required("generation", count("Grows with every transition")),
            required(
                "winner",
                either([Type::String, Type::Null], "The version that won"),
            ),
            required("status", component("Rollout")),
            required("evidence", component("RolloutEvidence")),
            required("verdict", component("RolloutVerdict")),
        ],
    );
    object(
        "The running rollouts, and the result of the last rollout of each model",
        [
            required("format", count("The version of this format")),
            required("rollouts", list("", rollout)),
        ],
    )
}

fn replica_counts() -> AnySchema {
    let buckets = |description| map(description, count(""));
    let arm = |description| {
        let rewards = object(
            "",
            [
                required("n", count("")),
                required("sum", scalar(Type::Number, "")),
                required("sum_squares", scalar(Type::Number, "")),
            ],
        );
        object(
            description,
            [
                required("errors", count("Failed requests")),
                required("nan_outputs", count("Answers with NaN or infinity")),
                required("total", buckets("Latencies, by bucket")),
                required("queue", buckets("Times before the run, by bucket")),
                required("infer", buckets("Run times, by bucket")),
                required("outputs", list("Rows by class or bin", count(""))),
                required("rewards", rewards),
            ],
        )
    };
    object(
        "Counts since a replica began to follow; they never fall",
        [
            required("format", count("The version of this format")),
            required("generation", count("The generation in force there")),
            required("error_run", count("The longest run of errors since then")),
            required("stable", arm("")),
            required("candidate", arm("")),
        ],
    )
}
