//! The routes of rollouts and of the webhooks that query them.

use api::components::{self, Component};
use api::rollout::{
    ActionBody, Assignment, FlaggerHook, RolloutReport, RolloutVerdict, SimulationBody,
    SimulationSummary, Status, Transition,
};
use contract::{ActionKind, Code};
use utoipa::openapi::Required;
use utoipa::openapi::path::HttpMethod;

use super::super::endpoint::{Endpoint, query, with_refusal};
use super::super::failure::Shape;
use super::super::media::{json_body, json_reply, optional_json_body, rollout_body, text_reply};
use super::super::purpose::Purpose;
use super::super::schema::{AnySchema, component, list, object, required, text};

/// The group of rollouts.
pub(in super::super) const ROLLOUTS: &str = "Rollouts";

/// The operations.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = read_endpoints();
    endpoints.extend(ActionKind::ALL.map(action));
    endpoints.extend([start(), simulate(), assign()]);
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
        parameters: vec![query("limit", "Number of transitions, 20 when left out")],
        ..get(
            "/transitions",
            "showRolloutTransitions",
            "List the transitions",
            "RolloutTransitions",
        )
    };
    let events = Endpoint {
        reply: text_reply(
            "`transition` and `evidence`, until the rollout has ended",
            "text/event-stream",
        ),
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
        body: Some(optional_json_body("OperatorAction")),
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
        body: Some(json_body("SimulationInput", Vec::new())),
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
        reply: json_reply("The requested document", schema, None),
        refusal: None,
    }
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<Component> {
    let list_of = |name| list("", component(name));
    let mut schemas: Vec<Component> = vec![
        ("RolloutFile".to_owned(), file()),
        ("RolloutList".to_owned(), list_of("Rollout")),
        (
            "RolloutTransitions".to_owned(),
            list_of("RolloutTransition"),
        ),
    ];
    components::add::<ActionBody>(&mut schemas);
    components::add::<Status>(&mut schemas);
    components::add::<RolloutReport>(&mut schemas);
    components::add::<Transition>(&mut schemas);
    components::add::<RolloutVerdict>(&mut schemas);
    components::add::<SimulationBody>(&mut schemas);
    components::add::<SimulationSummary>(&mut schemas);
    components::add::<Assignment>(&mut schemas);
    components::add::<FlaggerHook>(&mut schemas);
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
