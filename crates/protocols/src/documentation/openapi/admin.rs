//! The routes of operators.

mod compare;
mod rollouts;

use api::components::{self, Component};
use api::split::Traffic;
use api::version::VersionChoice;
use utoipa::openapi::Response;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::Type;

use super::endpoint::{Endpoint, query};
use super::failure::Shape;
use super::media::{json_body, json_reply};
use super::purpose::Purpose;
use super::schema::{
    AnySchema, component, count, either, list, map, object, optional, required, scalar, text,
    text_enum,
};

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

/// Returns the schemas that are derived from the documents of operators.
pub(super) fn components() -> Vec<Component> {
    let mut components = Vec::new();
    components::add::<VersionChoice>(&mut components);
    components::add::<Traffic>(&mut components);
    components
}

/// Returns the schemas of bodies and replies.
pub(super) fn schemas() -> Vec<(&'static str, AnySchema)> {
    let mut schemas = vec![
        ("Routing", routing_schema()),
        ("History", history()),
    ];
    schemas.extend(compare::schemas());
    schemas.extend(rollouts::schemas());
    schemas
}

fn share(description: &str) -> utoipa::openapi::schema::ObjectBuilder {
    scalar(Type::Number, description)
        .minimum(Some(0))
        .maximum(Some(1))
}

fn routing_schema() -> AnySchema {
    let millis = || either([Type::Number, Type::Null], "");
    let quantiles = ["p50", "p95", "p99"].map(|name| required(name, millis()));
    let results = object(
        "Counts without overridden requests and without errors of callers",
        [
            required("arm", text("")),
            required("weight", share("The weight in force; a bandit changes it")),
            required("requests", count("")),
            required("errors", count("")),
            required("latency_ms", object("", quantiles)),
            required(
                "units",
                count("Units; requests, when each request is a unit"),
            ),
            required("reward", reward()),
            optional("outputs", outputs()),
        ],
    );
    object(
        "",
        [
            required("model", text("")),
            required("generation", count("Grows with every change")),
            optional(
                "default",
                text("The version that answers when none is named"),
            ),
            optional("pinned", text("The pinned version")),
            required("labels", map("Versions by label", text(""))),
            optional("traffic", component("Traffic")),
            required(
                "requests_without_unit",
                count("Requests without a unit at the configured location"),
            ),
            required(
                "results",
                list(
                    "The results of the arms since the last change of the split",
                    results,
                ),
            ),
            required(
                "comparison",
                list("Every other arm, compared with the first", comparison()),
            ),
            optional("sample_ratio", sample_ratio()),
        ],
    )
}

fn reward() -> AnySchema {
    object(
        "Rewards from the feedback so far",
        [
            required("n", count("")),
            required("mean", either([Type::Number, Type::Null], "")),
        ],
    )
}

fn outputs() -> AnySchema {
    let kind = "`classes` are counted modulo 32; `scores` below 0, in tenths up to 1, above 1";
    object(
        "The answers, counted by rows",
        [
            required("kind", text_enum(kind, ["classes", "scores"])),
            required("counts", list("", count(""))),
        ],
    )
}

fn comparison() -> AnySchema {
    let difference = |description: &str| {
        let number = || scalar(Type::Number, "");
        let interval = "Holds the true difference with probability 0.95 at every moment";
        let is_significant = "True when it is significant among all differences of the split";
        object(
            description,
            [
                required("estimate", number()),
                required("interval", list(interval, number())),
                required("p_value", share("Valid at every moment")),
                required("significant", scalar(Type::Boolean, is_significant)),
            ],
        )
    };
    object(
        "",
        [
            required("arm", text("")),
            required("with", text("The arm that it is compared with")),
            optional(
                "error_rate",
                difference("Its error rate minus that of the other"),
            ),
            optional(
                "reward",
                difference("Its mean reward minus that of the other"),
            ),
        ],
    )
}

fn sample_ratio() -> AnySchema {
    let number = |description: &str| scalar(Type::Number, description);
    object(
        "The check that the units follow the weights; if they do not, no comparison holds",
        [
            required(
                "ln_bf",
                number("Logarithm of the evidence that they do not"),
            ),
            required("limit", number("The evidence from which on they do not")),
            required(
                "is_off",
                scalar(Type::Boolean, "True when the limit is reached"),
            ),
        ],
    )
}

fn history() -> AnySchema {
    let line = object(
        "",
        [
            required("at", text("The time")),
            required("actor", text("The value of `x-lockgate-actor`, or `watch`")),
            required("what", text("The change")),
            optional("version", text("The version")),
            optional(
                "fingerprint",
                text("The fingerprint of its files at that time"),
            ),
        ],
    );
    let lines = list("The newest first", line);
    object(
        "",
        [required("model", text("")), required("history", lines)],
    )
}
