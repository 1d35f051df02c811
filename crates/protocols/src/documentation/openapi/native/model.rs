//! Operations and schemas of one version in the simple JSON API.
//!
//! Rule: a model that needs one input also takes `data` or `input` instead of `inputs`; predictions
//! are the tensor itself when one output is given, and an object of tensors otherwise.

use contract::TensorSpec;
use serde_json::{Map, Value, json};

use super::super::endpoint::Endpoint;
use super::super::media::{Examples, json_body, json_reply};
use super::super::model::Model;
use super::super::schema::{
    AnySchema, Field, any_of, object, one_of, optional, required, text_enum,
};
use super::super::tensor::{nested, nested_example};
use super::schemas::{reply_fields, request_fields};
use super::{image, post, top_k};

/// Returns the operations of a version.
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
    let mut endpoints: Vec<_> = paths.map(predict).collect();
    if model.info.image.is_some() {
        endpoints.extend(images(model));
    }
    endpoints
}

/// Returns the image operations of a version that has `image` settings.
fn images(model: &Model<'_>) -> Vec<Endpoint> {
    let summary = format!(
        "Classify a picture with version {} of {}",
        model.info.version, model.info.model
    );
    let paths = model.paths("", "predict/image").into_iter();
    paths
        .map(|(part, path)| {
            let id = model.name(&format!("predict_image{part}"));
            let endpoint = Endpoint {
                parameters: vec![top_k()],
                ..image(&path, &id, &summary)
            };
            of_model(model, endpoint)
        })
        .collect()
}

fn of_model(model: &Model<'_>, endpoint: Endpoint) -> Endpoint {
    Endpoint {
        tag: model.tag(),
        ..endpoint
    }
}

/// Returns the schemas of a version.
pub(in super::super) fn schemas(model: &Model<'_>) -> Vec<(String, AnySchema)> {
    vec![
        (model.name("PredictRequest"), request(model)),
        (model.name("PredictReply"), reply(model)),
    ]
}

fn request(model: &Model<'_>) -> AnySchema {
    let inputs = &model.info.signature.inputs;
    let tensor = |spec| rows(spec, model.info.signature.has_batch_dimension());
    let named = inputs.iter().map(|spec| match spec.is_optional {
        true => optional(&spec.name, tensor(spec)),
        false => required(&spec.name, tensor(spec)),
    });
    let whole = |input: Field| {
        let fields = std::iter::once(input).chain(request_fields());
        object("", fields)
    };
    let by_name = whole(required("inputs", object("The inputs by name", named)));
    match only_input(inputs) {
        Some(only) => one_of(
            "",
            [
                whole(required("data", tensor(only))),
                whole(required("input", tensor(only))),
                by_name,
            ],
        ),
        None => by_name,
    }
}

/// Returns the input of a value without a name.
fn only_input(inputs: &[TensorSpec]) -> Option<&TensorSpec> {
    let mut needed = inputs.iter().filter(|spec| !spec.is_optional);
    match (inputs, needed.next(), needed.next()) {
        ([only], _, _) | (_, Some(only), None) => Some(only),
        _ => None,
    }
}

/// A tensor, or one row of it, which a batching model takes as a batch of one.
fn rows(spec: &TensorSpec, is_batch: bool) -> AnySchema {
    let Some((_, row)) = spec.dims.split_first().filter(|_| is_batch) else {
        return nested(spec);
    };
    let row = TensorSpec {
        dims: row.to_vec(),
        ..spec.clone()
    };
    any_of("A batch, or one row", [nested(spec), nested(&row)])
}

fn reply(model: &Model<'_>) -> AnySchema {
    let outputs = &model.info.signature.outputs;
    let predictions = match outputs.as_slice() {
        [only] => nested(only),
        several => {
            let named = several
                .iter()
                .map(|spec| optional(&spec.name, nested(spec)));
            let named = object("The outputs by name", named);
            let alone = several.iter().map(nested);
            any_of(
                "Several outputs by name, or the only requested one",
                std::iter::once(named).chain(alone),
            )
        }
    };
    let name = text_enum("The model that answered", [model.info.model.as_str()]);
    object("", reply_fields(predictions, name))
}

/// Returns examples of `POST /predict`: the latest version of each model.
pub(super) fn predict_examples(models: &[Model<'_>]) -> Examples {
    let latest = models.iter().filter(|model| model.is_latest);
    latest
        .map(|model| (model.info.model.to_string(), named_example(model)))
        .collect()
}

/// Returns an example of `POST /predict/batch`: one request for the latest version of each model.
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
    let inputs = &model.info.signature.inputs;
    let (field, value) = match only_input(inputs) {
        Some(only) => ("data", nested_example(only)),
        None => ("inputs", by_name(inputs)),
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
