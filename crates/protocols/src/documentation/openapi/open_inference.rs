//! The Open Inference Protocol v2: its routes, its schemas, and those of each model.
//!
//! Decision: every route of a model is listed with and without `/versions/{version}`, as the server
//! has them.

mod model;
mod schemas;

use contract::Code;
use utoipa::openapi::Response;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::request_body::RequestBody;

use self::model::infer_examples;
use super::endpoint::{Endpoint, with_refusal};
use super::failure::Shape;
use super::media::{binary_body, binary_reply, json_reply, optional_json_body};
use super::model::Model;
use super::purpose::Purpose;

pub(super) use self::model::{endpoints as model_endpoints, schemas as model_schemas};
pub(super) use self::schemas::schemas;

/// The group of inference and metadata.
pub(super) const INFERENCE: &str = "Open Inference Protocol";
/// The group of the repository and the settings.
pub(super) const ADMINISTRATION: &str = "Open Inference Protocol: administration";

/// Returns the operations that exist whatever is served.
pub(super) fn endpoints(models: &[Model<'_>]) -> Vec<Endpoint> {
    let mut endpoints = server();
    for (path, suffix) in [
        ("/v2/models/{model}", ""),
        ("/v2/models/{model}/versions/{version}", "Version"),
    ] {
        endpoints.extend(about_model(path, suffix));
        endpoints.push(infer(models, path, suffix));
    }
    endpoints.extend(repository());
    for (path, id, purpose) in [
        ("/v2/trace/setting", "Trace", Purpose::Server),
        (
            "/v2/models/{model}/trace/setting",
            "ModelTrace",
            Purpose::Model,
        ),
        ("/v2/logging", "Log", Purpose::Server),
    ] {
        endpoints.extend(settings(path, id, purpose));
    }
    endpoints
}

fn server() -> Vec<Endpoint> {
    let [root, live, ready, models, statistics] = [
        (
            "/v2",
            "v2Server",
            "Show the server metadata",
            "ServerMetadata",
        ),
        (
            "/v2/health/live",
            "v2Live",
            "Check that the process answers",
            "ServerLive",
        ),
        (
            "/v2/health/ready",
            "v2Ready",
            "Check that the server is ready",
            "ServerReady",
        ),
        (
            "/v2/models",
            "v2Models",
            "List the names of all models",
            "ModelNames",
        ),
        (
            "/v2/models/stats",
            "v2Statistics",
            "Show statistics of all models",
            "Statistics",
        ),
    ]
    .map(|(path, id, summary, schema)| get(path, id, summary, schema));
    let ready = with_refusal(ready, Code::Unavailable, "ServerReady");
    vec![root, live, ready, models, statistics]
}

fn about_model(path: &str, suffix: &str) -> [Endpoint; 4] {
    let [metadata, ready, config, statistics] = [
        (
            "",
            "Model",
            "Show inputs, outputs and versions",
            "ModelMetadata",
        ),
        (
            "/ready",
            "ModelReady",
            "Check that the model is ready",
            "ModelReady",
        ),
        (
            "/config",
            "ModelConfig",
            "Show the settings of the model",
            "ModelConfig",
        ),
        (
            "/stats",
            "ModelStatistics",
            "Show statistics of the model",
            "Statistics",
        ),
    ]
    .map(|(after, id, summary, schema)| Endpoint {
        purpose: Purpose::Model,
        ..get(
            &format!("{path}{after}"),
            &format!("v2{id}{suffix}"),
            summary,
            schema,
        )
    });
    let ready = with_refusal(ready, Code::ModelNotReady, "ModelReady");
    [metadata, ready, config, statistics]
}

fn infer(models: &[Model<'_>], path: &str, suffix: &str) -> Endpoint {
    let body = binary_body("InferRequest", infer_examples(models));
    let reply = binary_reply("The outputs", "InferReply", None);
    Endpoint {
        purpose: Purpose::Infer,
        ..post(
            &format!("{path}/infer"),
            &format!("v2Infer{suffix}"),
            "Run a model",
            body,
            reply,
        )
    }
}

fn repository() -> Vec<Endpoint> {
    let index = json_reply("Every known version", "RepositoryIndex", None);
    let change = |path, id, summary, schema| Endpoint {
        tag: ADMINISTRATION.to_owned(),
        ..post(
            path,
            id,
            summary,
            optional_json_body("RepositoryRequest"),
            json_reply("Done", schema, None),
        )
    };
    vec![
        Endpoint {
            tag: ADMINISTRATION.to_owned(),
            purpose: Purpose::Server,
            ..post(
                "/v2/repository/index",
                "v2RepositoryIndex",
                "List every known version and its state",
                optional_json_body("RepositoryIndexRequest"),
                index,
            )
        },
        change(
            "/v2/repository/models/{model}/load",
            "v2RepositoryLoad",
            "Load a model from its folder; answers when it is ready",
            "RepositoryLoad",
        ),
        change(
            "/v2/repository/models/{model}/unload",
            "v2RepositoryUnload",
            "Unload a model; accepted requests are answered",
            "RepositoryUnload",
        ),
    ]
}

fn settings(path: &str, id: &str, purpose: Purpose) -> [Endpoint; 2] {
    let schema = match id {
        "Log" => "LogSettings",
        _ => "TraceSettings",
    };
    let show = get(
        path,
        &format!("v2{id}Settings"),
        "Show the settings",
        schema,
    );
    let change = post(
        path,
        &format!("v2Change{id}Settings"),
        "Change settings; values other than the current ones are refused",
        optional_json_body(schema),
        json_reply("All settings", schema, None),
    );
    let show = Endpoint { purpose, ..show };
    [show, change].map(|endpoint| Endpoint {
        tag: ADMINISTRATION.to_owned(),
        ..endpoint
    })
}

fn get(path: &str, id: &str, summary: &str, schema: &str) -> Endpoint {
    Endpoint {
        method: HttpMethod::Get,
        path: path.to_owned(),
        id: id.to_owned(),
        tag: INFERENCE.to_owned(),
        summary: summary.to_owned(),
        errors: Shape::OpenInference,
        purpose: Purpose::Server,
        parameters: Vec::new(),
        body: None,
        reply: json_reply("Success", schema, None),
        refusal: None,
    }
}

fn post(path: &str, id: &str, summary: &str, body: RequestBody, reply: Response) -> Endpoint {
    Endpoint {
        method: HttpMethod::Post,
        purpose: Purpose::Change,
        body: Some(body),
        reply,
        ..get(path, id, summary, "InferReply")
    }
}
