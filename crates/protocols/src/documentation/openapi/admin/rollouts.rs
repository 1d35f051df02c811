//! The routes of rollouts and of the webhooks that query them.

mod replicas;

use contract::{ActionKind, Code};
use utoipa::openapi::Required;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::Type;

use super::super::endpoint::{Endpoint, query, with_refusal};
use super::super::failure::Shape;
use super::super::media::{events_reply, json_body, json_reply, optional_json_body, rollout_body};
use super::super::purpose::Purpose;
use super::super::schema::{
    AnySchema, anything, component, count, either, list, map, object, optional, required, scalar,
    text, text_enum,
};
use super::share;

/// The group of rollouts.
pub(in super::super) const ROLLOUTS: &str = "Rollouts";

/// The operations.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = read_endpoints();
    endpoints.extend(ActionKind::ALL.map(action));
    endpoints.extend([start(), simulate(), assign()]);
    endpoints.extend(replicas::endpoints());
    endpoints.extend(hooks());
    endpoints
}

fn read_endpoints() -> Vec<Endpoint> {
    let get = |rest: &str, id, summary, schema| {
        let path = format!("/api/rollouts/{{rollout}}{rest}");
        endpoint(HttpMethod::Get, &path, id, summary, schema)
    };
    let list = Endpoint {
        path: "/api/rollouts".to_owned(),
        ..get("", "listRollouts", "List all rollouts", "RolloutList")
    };
    let transitions = Endpoint {
        purpose: Purpose::RolloutLeader,
        parameters: vec![query("limit", "Number of transitions, 20 when left out")],
        ..get(
            "/transitions",
            "showRolloutTransitions",
            "List the transitions",
            "RolloutTransitions",
        )
    };
    let events = Endpoint {
        purpose: Purpose::RolloutLeader,
        reply: events_reply("`transition` and `evidence`, until the rollout has ended"),
        ..get(
            "/events",
            "followRollout",
            "Follow a rollout from now on",
            "",
        )
    };
    vec![
        list,
        get("", "showRollout", "Show the state of a rollout", "Rollout"),
        get(
            "/evidence",
            "showRolloutEvidence",
            "Show the evidence with its limits",
            "RolloutEvidence",
        ),
        transitions,
        get(
            "/verdict",
            "showRolloutVerdict",
            "The verdict as a number, for other tools; always 200",
            "RolloutVerdict",
        ),
        events,
    ]
}

fn action(kind: ActionKind) -> Endpoint {
    let (id, summary) = match kind {
        ActionKind::Promote => (
            "promoteRollout",
            "Open the next gate, or go to the next weight without a verdict",
        ),
        ActionKind::Hold => ("holdRollout", "Freeze the weight"),
        ActionKind::Resume => ("resumeRollout", "Continue after a hold"),
        ActionKind::Rollback => (
            "rollBackRollout",
            "Return to stable: the candidate is worse",
        ),
        ActionKind::Abort => ("abortRollout", "Return to stable without a judgement"),
    };
    let path = format!("/api/rollouts/{{rollout}}/{}", kind.as_str());
    Endpoint {
        purpose: Purpose::RolloutAction,
        body: Some(optional_json_body("RolloutAct")),
        ..endpoint(HttpMethod::Post, &path, id, summary, "Rollout")
    }
}

fn start() -> Endpoint {
    let summary = "Start a rollout from its file";
    Endpoint {
        purpose: Purpose::RolloutStart,
        body: Some(rollout_body("RolloutFile")),
        ..endpoint(
            HttpMethod::Post,
            "/api/rollouts",
            "startRollout",
            summary,
            "Rollout",
        )
    }
}

fn simulate() -> Endpoint {
    let summary = "Simulate a rollout on a virtual clock";
    Endpoint {
        purpose: Purpose::RolloutSimulation,
        body: Some(json_body("RolloutAssumptions", Vec::new())),
        ..endpoint(
            HttpMethod::Post,
            "/api/rollouts:simulate",
            "simulateRollout",
            summary,
            "RolloutSimulation",
        )
    }
}

fn assign() -> Endpoint {
    let parameter = |name, description| {
        let mut parameter = query(name, description);
        parameter.required = Required::True;
        parameter
    };
    Endpoint {
        parameters: vec![
            parameter("rollout", "The name of a rollout"),
            parameter("unit", "The unit, such as a user"),
        ],
        ..endpoint(
            HttpMethod::Get,
            "/api/experiments/assign",
            "assignUnit",
            "Show the arm of a unit, without counting it",
            "Assignment",
        )
    }
}

fn hooks() -> [Endpoint; 2] {
    [
        ("confirm", "flaggerMayGoOn", "Yes when it is not worse"),
        ("rollback", "flaggerMustGoBack", "Yes when it is worse"),
    ]
    .map(|(name, id, summary)| {
        let path = format!("/api/hooks/flagger/{name}");
        let hook = endpoint(HttpMethod::Post, &path, id, summary, "RolloutVerdict");
        let hook = Endpoint {
            body: Some(json_body("FlaggerHook", Vec::new())),
            ..hook
        };
        with_refusal(hook, Code::PermissionDenied, "RolloutVerdict")
    })
}

fn endpoint(method: HttpMethod, path: &str, id: &str, summary: &str, schema: &str) -> Endpoint {
    Endpoint {
        method,
        path: path.to_owned(),
        id: id.to_owned(),
        tag: ROLLOUTS.to_owned(),
        summary: summary.to_owned(),
        errors: Shape::Native,
        purpose: Purpose::Rollout,
        parameters: Vec::new(),
        body: None,
        reply: json_reply("", schema, None),
        refusal: None,
    }
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<(&'static str, AnySchema)> {
    let list_of = |name| list("", component(name));
    let mut schemas = vec![
        ("RolloutFile", file()),
        ("RolloutAct", action_schema()),
        ("Rollout", status()),
        ("RolloutList", list_of("Rollout")),
        ("RolloutEvidence", evidence()),
        ("RolloutTransition", transition_schema()),
        ("RolloutTransitions", list_of("RolloutTransition")),
        ("RolloutVerdict", verdict()),
        ("RolloutAssumptions", assumptions()),
        ("RolloutSimulation", simulation()),
        ("Assignment", assignment()),
        ("FlaggerHook", hook_schema()),
    ];
    schemas.extend(replicas::schemas());
    schemas
}

fn file() -> AnySchema {
    let rollout = object(
        "The guide lists the keys",
        [
            required("id", text("Unique in the server")),
            required("model", text("")),
            required("stable", text("The version that serves now")),
            required("candidate", text("The version on trial")),
        ],
    );
    object("A rollout file", [required("rollout", rollout)])
}

fn action_schema() -> AnySchema {
    object(
        "",
        [
            optional("reason", text("The reason, for the history")),
            optional(
                "generation",
                count("The generation that the caller has seen; refused when it has changed"),
            ),
        ],
    )
}

fn status() -> AnySchema {
    let arm = object(
        "",
        [
            required("name", text("`stable` or `candidate`")),
            required("version", text("")),
            required("weight", share("The traffic weight")),
        ],
    );
    object(
        "The state of a rollout",
        [
            required("id", text("")),
            required("model", text("")),
            required("state", text("Such as `step`, `held` or `completed`")),
            optional("step", either([Type::Integer, Type::Null], "From 0")),
            required("weight", share("The traffic weight of the candidate")),
            required("generation", count("Grows with every transition")),
            required("epoch", count("Grows whenever the evidence begins again")),
            required("since", text("The time of the last transition")),
            optional(
                "reason",
                either(
                    [Type::String, Type::Null],
                    "The reason for the hold or the end",
                ),
            ),
            required("verdict", verdict_enum()),
            required("arms", list("", arm)),
            required(
                "missing",
                list("The conditions that `not_worse` still lacks", text("")),
            ),
        ],
    )
}

fn evidence() -> AnySchema {
    object(
        "Evidence with its limits; scores are logarithms",
        [
            required("limits", anything("Of the combined evidence")),
            required("metrics", list("", anything("One metric"))),
            required("combined", anything("Of the metrics that may block")),
            required(
                "srm",
                anything("The check that the units follow the weights"),
            ),
            optional("soak", anything("The counts of the soak")),
            required("guards", list("", anything("A count and its limit"))),
        ],
    )
}

fn transition_schema() -> AnySchema {
    object(
        "One transition of a rollout",
        [
            required("at", text("The time")),
            required("from", text("The state before")),
            required("to", text("The state after")),
            required("reason", text("The reason")),
            required("actor", text("An operator, or `lockgate`")),
            required("generation", count("The generation after the transition")),
        ],
    )
}

fn verdict_enum() -> AnySchema {
    text_enum("", ["not_worse", "unknown", "worse"]).into()
}

fn verdict() -> AnySchema {
    object(
        "",
        [
            required("verdict", verdict_enum()),
            required(
                "value",
                scalar(
                    Type::Integer,
                    "1 for not worse and completed, 0 for unknown, -1 for rolled back, failed and aborted",
                ),
            ),
            optional("state", text("The state of the rollout")),
            optional("reason", text("The reason for an unknown verdict")),
        ],
    )
}

fn assumptions() -> AnySchema {
    let rates = |description| map(description, share(""));
    object(
        "A rollout, as `file` or as `rollout`, and the assumed traffic",
        [
            optional("file", text("The text of a rollout file")),
            optional("rollout", anything("The contents of the file")),
            optional(
                "rps",
                scalar(
                    Type::Number,
                    "Requests for the model each second, 100 when left out",
                ),
            ),
            optional("stable_rates", rates("Events per request, by metric")),
            optional("candidate_rates", rates("The same for the candidate")),
            optional("runs", count("1000 when left out, at most 10000")),
            optional("seed", count("The same seed gives the same numbers")),
        ],
    )
}

fn simulation() -> AnySchema {
    let quantiles = |description| map(description, scalar(Type::Number, ""));
    object(
        "The ends of the runs",
        [
            required("p_promote", share("")),
            required("p_rollback", share("")),
            required(
                "p_held",
                share("The share of runs that were held or undecided at the end"),
            ),
            optional("duration_seconds", quantiles("")),
            optional("candidate_requests", quantiles("")),
            optional("failed_requests", quantiles("Of the candidate")),
        ],
    )
}

fn assignment() -> AnySchema {
    let arms = ["stable", "candidate", "outside"];
    object(
        "",
        [
            required("rollout", text("")),
            required("unit", text("")),
            required(
                "arm",
                text_enum("`outside` for a unit that does not take part", arms),
            ),
            required("bucket", count("The number that the unit is hashed to")),
        ],
    )
}

fn hook_schema() -> AnySchema {
    let rollout = required("rollout", text("The name of a rollout"));
    object(
        "The request of Flagger; other keys are ignored",
        [required("metadata", object("", [rollout]))],
    )
}
