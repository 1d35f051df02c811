//! What one version takes and gives in the simple JSON API.
//!
//! Rule: a model with one input also takes `data` or `input` instead of `inputs`; predictions are
//! the tensor itself when the model has one output, and an object of tensors otherwise.

use contract::TensorSpec;
use serde_json::{Map, Value, json};

use super::super::endpoint::Endpoint;
use super::super::media::{Examples, image_body, json_body, json_reply};
use super::super::model::Model;
use super::super::schema::{AnySchema, Field, object, one_of, optional, required, word};
use super::super::tensor::{nested, nested_example};
use super::post;
use super::schemas::{model_version, reply_fields};

/// The operations of a version.
pub(in super::super) fn endpoints(model: &Model<'_>) -> Vec<Endpoint> {
    let summary = format!("Run version {} of {}", model.info.version, model.info.model);
    let predict = |(part, path): (&str, String)| {
        let id = model.name(&format!("predict{part}"));
        let example = Value::Object(request_example(model));
        let body = json_body(
            &model.name("PredictRequest"),
            vec![(String::new(), example)],
        );
        let schema = model.name("PredictReply");
        let reply = json_reply("The predictions", &schema, Some(reply_example(model)));
        of_model(model, post(&path, &id, &summary, body, reply))
    };
    let paths = model.paths("", "predict").into_iter();
    paths.map(predict).chain(image_endpoint(model)).collect()
}

/// The latest version takes pictures when its settings say how.
fn image_endpoint(model: &Model<'_>) -> Option<Endpoint> {
    let (_, path) = model.paths("", "predict/image").into_iter().next()?;
    let is_offered = model.is_latest && model.info.image.is_some();
    is_offered.then(|| {
        let summary = format!("Classify a picture with {}", model.info.model);
        let reply = json_reply("The most probable classes", "ImageReply", None);
        let id = model.name("predictImage");
        of_model(model, post(&path, &id, &summary, image_body(), reply))
    })
}

fn of_model(model: &Model<'_>, endpoint: Endpoint) -> Endpoint {
    Endpoint {
        tag: model.tag(),
        ..endpoint
    }
}

/// The schemas of a version.
pub(in super::super) fn schemas(model: &Model<'_>) -> Vec<(String, AnySchema)> {
    vec![
        (model.name("PredictRequest"), request(model)),
        (model.name("PredictReply"), reply(model)),
    ]
}

fn request(model: &Model<'_>) -> AnySchema {
    let inputs = &model.info.signature.inputs;
    let named = || {
        let fields = inputs.iter().map(|spec| match spec.is_optional {
            true => optional(&spec.name, nested(spec)),
            false => required(&spec.name, nested(spec)),
        });
        object("The inputs by name", fields)
    };
    let whole = |field: Field| object("", [field, optional("model_version", model_version())]);
    let [only] = inputs.as_slice() else {
        return whole(required("inputs", named()));
    };
    one_of(
        "",
        [
            whole(required("data", nested(only))),
            whole(required("input", nested(only))),
            whole(required("inputs", named())),
        ],
    )
}

fn reply(model: &Model<'_>) -> AnySchema {
    let outputs = &model.info.signature.outputs;
    let predictions = match outputs.as_slice() {
        [only] => nested(only),
        several => {
            let fields = several
                .iter()
                .map(|spec| required(&spec.name, nested(spec)));
            object("The outputs by name", fields)
        }
    };
    let name = word("The model that answered", [model.info.model.as_str()]);
    let version = word("Its version", [model.info.version.as_str()]);
    object("", reply_fields(predictions, name, version))
}

/// Examples of `POST /predict`: the latest version of each model.
pub(super) fn predict_examples(models: &[Model<'_>]) -> Examples {
    let latest = models.iter().filter(|model| model.is_latest);
    latest
        .map(|model| (model.info.model.to_string(), named_example(model)))
        .collect()
}

/// An example of `POST /predict/batch`: one request for the latest version of each model.
pub(super) fn batch_examples(models: &[Model<'_>]) -> Examples {
    let latest = models.iter().filter(|model| model.is_latest);
    let requests: Vec<_> = latest.map(named_example).collect();
    match requests.is_empty() {
        true => Vec::new(),
        false => vec![("zeros".to_owned(), json!({"requests": requests}))],
    }
}

fn named_example(model: &Model<'_>) -> Value {
    let mut example = request_example(model);
    let name = json!(model.info.model.as_str());
    example.insert("model".to_owned(), name);
    Value::Object(example)
}

fn request_example(model: &Model<'_>) -> Map<String, Value> {
    let (field, value) = match model.info.signature.inputs.as_slice() {
        [only] => ("data", nested_example(only)),
        several => ("inputs", by_name(several)),
    };
    Map::from_iter([(field.to_owned(), value)])
}

fn reply_example(model: &Model<'_>) -> Value {
    let predictions = match model.info.signature.outputs.as_slice() {
        [only] => nested_example(only),
        several => by_name(several),
    };
    json!({
        "predictions": predictions,
        "model": model.info.model.as_str(),
        "model_version": model.info.version.as_str(),
        "api_version": "v1",
        "timestamp": "2026-01-31T12:00:00Z",
        "inference_time_ms": 1.5,
    })
}

fn by_name(specs: &[TensorSpec]) -> Value {
    let tensors = specs
        .iter()
        .filter(|spec| !spec.is_optional)
        .map(|spec| (spec.name.clone(), nested_example(spec)));
    Value::Object(tensors.collect::<Map<_, _>>())
}
