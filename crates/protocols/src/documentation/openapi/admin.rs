//! The routes of operators.

mod compare;
mod rollouts;

use api::comparison::{ComparisonReport, ComparisonRequest};
use api::components::{self, Component};
use api::history::History;
use api::routing::Routing;
use api::split::Traffic;
use api::version::VersionChoice;
use utoipa::openapi::Response;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::request_body::RequestBody;

use super::endpoint::{Endpoint, query};
use super::failure::Shape;
use super::media::{json_body, json_reply};
use super::purpose::Purpose;

pub(super) use self::rollouts::ROLLOUTS;

/// The group of changes.
pub(super) const TRAFFIC: &str = "Versions and traffic";

/// Returns the operations that exist whatever is served.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let history = Endpoint {
        parameters: vec![query("limit", "Number of lines, 20 when left out")],
        reply: json_reply("The newest first", "History", None),
        ..get(
            "/history",
            "showHistory",
            "List the changes and their actors",
        )
    };
    let show = get("/traffic", "showTraffic", "Show the routing rules");
    let mut endpoints = vec![show, history];
    endpoints.extend(settings());
    endpoints.extend(actions());
    endpoints.push(compare::endpoint());
    endpoints.extend(rollouts::endpoints());
    endpoints
}

/// Returns the operations that set and remove routing rules.
fn settings() -> [Endpoint; 6] {
    let put = |rest, id, summary, schema| {
        let body = Some(json_body(schema, Vec::new()));
        change(HttpMethod::Put, rest, id, summary, body)
    };
    let delete = |rest, id, summary| change(HttpMethod::Delete, rest, id, summary, None);
    let (label, choice) = ("/labels/{label}", "VersionChoice");
    [
        put(
            "/traffic",
            "setTraffic",
            "Set the traffic split of requests that name no version",
            "Traffic",
        ),
        delete("/traffic", "removeTraffic", "Remove the traffic split"),
        put(
            label,
            "setLabel",
            "Attach a label to a version, or move it",
            choice,
        ),
        delete(label, "removeLabel", "Remove a label"),
        put("/default", "pin", "Pin the default version", choice),
        delete(
            "/default",
            "unpin",
            "Remove the pin, so that the highest version answers",
        ),
    ]
}

fn actions() -> [Endpoint; 3] {
    [
        (
            "/versions/{version}/load",
            "loadVersion",
            "Load a version; answers when it is ready",
        ),
        (
            "/versions/{version}/unload",
            "unloadVersion",
            "Unload a version",
        ),
        (
            "/rollback",
            "rollBack",
            "Restore the pin, labels and split before the last change",
        ),
    ]
    .map(|(rest, id, summary)| change(HttpMethod::Post, rest, id, summary, None))
}

/// Builds a `GET` operation on a path below a model.
fn get(rest: &str, id: &str, summary: &str) -> Endpoint {
    Endpoint {
        method: HttpMethod::Get,
        path: format!("/api/models/{{model}}{rest}"),
        id: id.to_owned(),
        tag: TRAFFIC.to_owned(),
        summary: summary.to_owned(),
        errors: Shape::Native,
        purpose: Purpose::Model,
        parameters: Vec::new(),
        body: None,
        reply: routing(),
        refusal: None,
    }
}

fn change(
    method: HttpMethod,
    rest: &str,
    id: &str,
    summary: &str,
    body: Option<RequestBody>,
) -> Endpoint {
    Endpoint {
        method,
        purpose: Purpose::Change,
        body,
        ..get(rest, id, summary)
    }
}

/// Builds a `POST` operation whose path and reply are its own.
fn post(id: &str, summary: &str, body: RequestBody) -> Endpoint {
    change(HttpMethod::Post, "", id, summary, Some(body))
}

fn routing() -> Response {
    json_reply("The routing rules in force", "Routing", None)
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<Component> {
    let mut schemas = rollouts::schemas();
    components::add::<VersionChoice>(&mut schemas);
    components::add::<Traffic>(&mut schemas);
    components::add::<Routing>(&mut schemas);
    components::add::<History>(&mut schemas);
    components::add::<ComparisonRequest<'_>>(&mut schemas);
    components::add::<ComparisonReport>(&mut schemas);
    schemas
}
