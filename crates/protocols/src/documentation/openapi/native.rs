//! The simple JSON API: its routes, its schemas, and those of each model.
//!
//! Decision: the operations of a model stand beside the general ones, with the same path where the
//! name of the model is filled in.

mod model;
mod schemas;

use contract::Code;
use serde_json::json;
use utoipa::openapi::Response;
use utoipa::openapi::path::{HttpMethod, Parameter};
use utoipa::openapi::request_body::RequestBody;

use self::model::predict_examples;
use super::endpoint::{Endpoint, query, with_refusal};
use super::failure::Shape;
use super::media::{image_body, json_body, json_reply, text_reply};
use super::model::Model;
use super::purpose::Purpose;

pub(super) use self::model::{endpoints as model_endpoints, schemas as model_schemas};
pub(super) use self::schemas::schemas;

/// The group of predictions.
pub(super) const PREDICTION: &str = "Prediction";
/// The group of models and versions.
pub(super) const MODELS: &str = "Models";
/// The group of the state of the server.
pub(super) const HEALTH: &str = "Health and metrics";

/// Returns the operations that exist whatever is served.
pub(super) fn endpoints(models: &[Model<'_>]) -> Vec<Endpoint> {
    let mut endpoints = predictions(models);
    endpoints.extend(images());
    endpoints.push(feedback());
    endpoints.extend(descriptions());
    endpoints.extend(health());
    endpoints
}

fn predictions(models: &[Model<'_>]) -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = [
        ("/predict", "predict", "Run a model"),
        (
            "/v1/predict",
            "predictV1",
            "Run a model, with the API version in the path",
        ),
        (
            "/models/{model}/predict",
            "predictModel",
            "Run the latest version of a model",
        ),
        (
            "/models/{model}/versions/{version}/predict",
            "predictVersion",
            "Run one version of a model",
        ),
    ]
    .map(|(path, id, summary)| {
        let body = json_body("PredictRequest", predict_examples(models));
        let reply = json_reply("The predictions", "PredictReply", None);
        post(path, id, summary, body, reply)
    })
    .into();
    let summary = "Run several requests at once; one that fails does not fail the others";
    for (path, id) in [
        ("/predict/batch", "predictBatch"),
        ("/v1/predict/batch", "predictBatchV1"),
    ] {
        let body = json_body("BatchRequest", model::batch_examples(models));
        let reply = json_reply(
            "A result for each request, in their order",
            "BatchReply",
            None,
        );
        endpoints.push(post(path, id, summary, body, reply));
    }
    endpoints
}

fn feedback() -> Endpoint {
    let examples = [
        ("reward", json!({"request_id": "7f3a", "reward": 0.5})),
        (
            "label",
            json!({"request_id": "7f3a", "label": "7", "model": "digits"}),
        ),
        ("unit", json!([{"unit": "user_42", "reward": 1}])),
    ];
    let examples = examples.map(|(name, body)| (name.to_owned(), body));
    let body = json_body("Feedback", examples.into());
    let reply = json_reply(
        "A result for each item, in their order",
        "FeedbackReply",
        None,
    );
    let summary = "Send feedback on answers, for the arms of a split that gave them";
    Endpoint {
        purpose: Purpose::Feedback,
        ..post("/v1/feedback", "sendFeedback", summary, body, reply)
    }
}

fn images() -> [Endpoint; 4] {
    let chosen_by_query = || {
        let version = query(
            "model_version",
            "The version; the latest when it is left out",
        );
        vec![query("model", MODEL_OF_QUERY), version, top_k()]
    };
    [
        ("/predict/image", "predictImage", chosen_by_query()),
        ("/v1/predict/image", "predictImageV1", chosen_by_query()),
        (
            "/models/{model}/predict/image",
            "predictModelImage",
            vec![top_k()],
        ),
        (
            "/models/{model}/versions/{version}/predict/image",
            "predictVersionImage",
            vec![top_k()],
        ),
    ]
    .map(|(path, id, parameters)| Endpoint {
        parameters,
        ..image(path, id, "Classify a picture")
    })
}

const MODEL_OF_QUERY: &str = "The model; not needed while only one is served";

fn top_k() -> Parameter {
    query("top_k", "Number of the most probable classes")
}

fn image(path: &str, id: &str, summary: &str) -> Endpoint {
    let reply = json_reply("The most probable classes", "ImageReply", None);
    post(path, id, summary, image_body(), reply)
}

fn descriptions() -> Vec<Endpoint> {
    let describe = |path, id, summary, schema| Endpoint {
        tag: MODELS.to_owned(),
        purpose: Purpose::Model,
        ..get(
            path,
            id,
            summary,
            json_reply("The description", schema, None),
        )
    };
    let list = Endpoint {
        purpose: Purpose::Server,
        ..describe("/models", "listModels", "List all models", "ModelList")
    };
    let info = describe(
        "/model/info",
        "modelInfo",
        "Show the model that answers when none is named",
        "ModelInfo",
    );
    let version = "/models/{model}/versions/{version}";
    vec![
        list,
        describe("/models/{model}", "describeModel", "Show a model", "Model"),
        describe(
            "/api/models/{model}",
            "describeModelUnderApi",
            "Show a model, under another path",
            "Model",
        ),
        describe(
            version,
            "describeVersion",
            "Show a version of a model",
            "ModelVersion",
        ),
        ready("/models/{model}/ready", "modelReady", MODELS),
        Endpoint {
            parameters: vec![query("model", MODEL_OF_QUERY)],
            ..info
        },
    ]
}

fn health() -> Vec<Endpoint> {
    let status_endpoint = |path, id, summary, schema| {
        let reply = json_reply("Success", schema, None);
        get(path, id, summary, reply)
    };
    let health = status_endpoint(
        "/health",
        "health",
        "Show the health of the server",
        "Health",
    );
    let of_one = query("model", "A model to check instead of the server");
    let description = "The metrics in the Prometheus text format, or as OpenMetrics text when \
                       `Accept` asks for `application/openmetrics-text`";
    let metrics = text_reply(description, "text/plain");
    vec![
        status_endpoint("/", "index", "List the main routes", "Index"),
        with_refusal(health, Code::Unavailable, "Health"),
        status_endpoint(
            "/health/live",
            "healthLive",
            "Check that the process answers",
            "Live",
        ),
        Endpoint {
            parameters: vec![of_one],
            ..ready("/health/ready", "healthReady", HEALTH)
        },
        get("/metrics", "metrics", "Expose the metrics", metrics),
    ]
}

fn ready(path: &str, id: &str, tag: &str) -> Endpoint {
    let reply = json_reply("Ready", "Ready", None);
    let ready = get(path, id, "Check readiness", reply);
    Endpoint {
        tag: tag.to_owned(),
        purpose: Purpose::Model,
        ..with_refusal(ready, Code::ModelNotReady, "Ready")
    }
}

fn get(path: &str, id: &str, summary: &str, reply: Response) -> Endpoint {
    Endpoint {
        method: HttpMethod::Get,
        path: path.to_owned(),
        id: id.to_owned(),
        tag: HEALTH.to_owned(),
        summary: summary.to_owned(),
        errors: Shape::Native,
        purpose: Purpose::Server,
        parameters: Vec::new(),
        body: None,
        reply,
        refusal: None,
    }
}

fn post(path: &str, id: &str, summary: &str, body: RequestBody, reply: Response) -> Endpoint {
    Endpoint {
        method: HttpMethod::Post,
        tag: PREDICTION.to_owned(),
        purpose: Purpose::Infer,
        body: Some(body),
        ..get(path, id, summary, reply)
    }
}
