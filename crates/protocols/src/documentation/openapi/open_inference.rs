//! The Open Inference Protocol v2: its routes, its schemas, and those of each model.
//!
//! Decision: every route about a model is there with and without `/versions/{version}`, as the
//! server has them.

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

/// The operations that are there whatever is served.
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
        ("/v2", "v2Server", "What the server is", "ServerMetadata"),
        (
            "/v2/health/live",
            "v2Live",
            "Whether the process answers",
            "ServerLive",
        ),
        (
            "/v2/health/ready",
            "v2Ready",
            "Whether the server wants traffic",
            "ServerReady",
        ),
        (
            "/v2/models",
            "v2Models",
            "The names of all models",
            "ModelNames",
        ),
        (
            "/v2/models/stats",
            "v2Statistics",
            "Statistics of all models",
            "Statistics",
        ),
    ]
    .map(|(path, id, summary, schema)| get(path, id, summary, schema));
    let ready = with_refusal(ready, Code::Unavailable, "ServerReady");
    vec![root, live, ready, models, statistics]
}

fn about_model(path: &str, suffix: &str) -> [Endpoint; 4] {
    let [metadata, ready, config, statistics] = [
        ("", "Model", "Inputs, outputs and versions", "ModelMetadata"),
        (
            "/ready",
            "ModelReady",
            "Whether the model wants traffic",
            "ModelReady",
        ),
        (
            "/config",
            "ModelConfig",
            "The settings of the model",
            "ModelConfig",
        ),
        (
            "/stats",
            "ModelStatistics",
            "Statistics of the model",
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
                "Every known version and its state",
                optional_json_body("RepositoryIndexRequest"),
                index,
            )
        },
        change(
            "/v2/repository/models/{model}/load",
            "v2RepositoryLoad",
            "Read the folder of a model again; answers when it serves",
            "RepositoryLoad",
        ),
        change(
            "/v2/repository/models/{model}/unload",
            "v2RepositoryUnload",
            "Stop serving a model; accepted requests are answered",
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
        "Ask for other settings; what is not set already is refused",
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
        reply: json_reply("All is well", schema, None),
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
