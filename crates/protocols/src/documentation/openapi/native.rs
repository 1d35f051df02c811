//! The simple JSON API: its routes, its schemas, and those of each model.
//!
//! Decision: the operations of a model stand beside the general ones, with the same path where the
//! name of the model is filled in.

mod model;
mod schemas;

use contract::Code;
use utoipa::openapi::Response;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::request_body::RequestBody;

use self::model::predict_examples;
use super::endpoint::{Endpoint, Purpose, query};
use super::failure::Shape;
use super::media::{image_body, json_body, json_reply, text_reply};
use super::model::Model;

pub(super) use self::model::{endpoints as model_endpoints, schemas as model_schemas};
pub(super) use self::schemas::schemas;

/// The group of predictions.
pub(super) const PREDICTION: &str = "Prediction";
/// The group of what is served.
pub(super) const MODELS: &str = "Models";
/// The group of the state of the server.
pub(super) const HEALTH: &str = "Health and metrics";

/// The operations that are there whatever is served.
pub(super) fn endpoints(models: &[Model<'_>]) -> Vec<Endpoint> {
    let mut endpoints = predictions(models);
    endpoints.extend(images());
    endpoints.extend(descriptions());
    endpoints.extend(health());
    endpoints
}

fn predictions(models: &[Model<'_>]) -> Vec<Endpoint> {
    let body = || json_body("PredictRequest", predict_examples(models));
    let predict = |path, id, summary| {
        let reply = json_reply("The predictions", "PredictReply", None);
        post(path, id, summary, body(), reply)
    };
    let batch = post(
        "/predict/batch",
        "predictBatch",
        "Run several requests at once; one that fails does not fail the others",
        json_body("BatchRequest", model::batch_examples(models)),
        json_reply(
            "One result for each request, in their order",
            "BatchReply",
            None,
        ),
    );
    vec![
        predict("/predict", "predict", "Run a model"),
        predict(
            "/v1/predict",
            "predictV1",
            "Run a model, with the version of the API",
        ),
        predict(
            "/models/{model}/predict",
            "predictModel",
            "Run the latest version of a model",
        ),
        predict(
            "/models/{model}/versions/{version}/predict",
            "predictVersion",
            "Run one version of a model",
        ),
        batch,
    ]
}

fn images() -> Vec<Endpoint> {
    let image = |path, id, parameters| Endpoint {
        parameters,
        ..post(
            path,
            id,
            "Classify a picture",
            image_body(),
            json_reply("The most probable classes", "ImageReply", None),
        )
    };
    let model = query("model", "The model; not needed while only one is served");
    vec![
        image("/predict/image", "predictImage", vec![model]),
        image(
            "/models/{model}/predict/image",
            "predictModelImage",
            Vec::new(),
        ),
    ]
}

fn descriptions() -> Vec<Endpoint> {
    let describe = |path, id, summary, purpose, schema| Endpoint {
        tag: MODELS.to_owned(),
        purpose,
        ..get(path, id, summary, json_reply("What is known", schema, None))
    };
    vec![
        describe(
            "/models",
            "listModels",
            "All models",
            Purpose::Server,
            "ModelList",
        ),
        describe(
            "/models/{model}",
            "describeModel",
            "One model",
            Purpose::Model,
            "Model",
        ),
        Endpoint {
            parameters: vec![query(
                "model",
                "The model; not needed while only one is served",
            )],
            ..describe(
                "/model/info",
                "modelInfo",
                "The model that answers when none is named",
                Purpose::Model,
                "Model",
            )
        },
    ]
}

fn health() -> Vec<Endpoint> {
    let check = |path, id, summary| {
        let reply = json_reply("All is well", "Health", None);
        get(path, id, summary, reply)
    };
    let not_ready = json_reply("It does not, and why", "Health", None);
    let ready = Endpoint {
        refusal: Some((Code::Unavailable, not_ready)),
        ..check(
            "/health/ready",
            "healthReady",
            "Whether the server wants traffic",
        )
    };
    let metrics = text_reply("The metrics, as Prometheus reads them");
    vec![
        check("/health", "health", "How the server is doing"),
        check("/health/live", "healthLive", "Whether the process answers"),
        ready,
        get("/metrics", "metrics", "The metrics", metrics),
    ]
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
