//! Operations and schemas of one version in the simple JSON API.
//!
//! Rule: a model that needs one input also takes its value alone; predictions are the tensor itself
//! when one output is given, and an object of tensors otherwise.

use std::ops::RangeInclusive;

use contract::{Dimension, TensorSpec};
use serde_json::{Map, Value, json};

use super::super::endpoint::Endpoint;
use super::super::media::{Examples, json_body, json_reply};
use super::super::model::Model;
use super::super::schema::{
    AnySchema, Field, any_of, list, object, one_of, optional, required, text_enum,
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
    let has_rows = usize::from(model.info.signature.has_batch_dimension());
    let by_name = |n_first: RangeInclusive<usize>| {
        let fields = inputs.iter().map(move |spec| {
            let value = shorter(spec, n_first.clone());
            match spec.is_optional {
                true => optional(&spec.name, value),
                false => required(&spec.name, value),
            }
        });
        fields.collect::<Vec<_>>()
    };
    let columns = object("The inputs by name", by_name(0..=has_rows));
    let records = list("Records", object("One row of every input", by_name(1..=1)));
    let records = (has_rows > 0 && only_input(inputs).is_none()).then_some(records);
    let table = any_of("", [columns].into_iter().chain(records.clone()));
    let whole = |inputs: Vec<Field>| object("", inputs.into_iter().chain(request_fields()));
    let value = only_input(inputs).map(|only| {
        let form = |key| whole(vec![required(key, shorter(only, 0..=has_rows))]);
        ["data", "input", "instances"].map(form)
    });
    let named = [
        whole(vec![required("inputs", table)]),
        whole(by_name(0..=has_rows)),
    ];
    let forms = value.into_iter().flatten().chain(named);
    one_of("", forms.chain(records))
}

/// Returns the input of a value without a name.
fn only_input(inputs: &[TensorSpec]) -> Option<&TensorSpec> {
    let mut needed = inputs.iter().filter(|spec| !spec.is_optional);
    match (inputs, needed.next(), needed.next()) {
        ([only], _, _) | (_, Some(only), None) => Some(only),
        _ => None,
    }
}

/// A tensor without so many of its first dimensions, and without any of its last ones of size 1.
fn shorter(spec: &TensorSpec, n_first: RangeInclusive<usize>) -> AnySchema {
    let is_one = |dim: &&Dimension| dim.fixed() == Some(1);
    let n_ones = spec.dims.iter().rev().take_while(is_one).count();
    let forms = n_first.flat_map(|n_first| (0..=n_ones).map(move |n_last| (n_first, n_last)));
    let forms = forms.filter_map(|(n_first, n_last)| {
        let dims = spec.dims.get(n_first..spec.dims.len() - n_last)?.to_vec();
        Some(nested(&TensorSpec {
            dims,
            ..spec.clone()
        }))
    });
    let mut forms: Vec<_> = forms.collect();
    match forms.len() {
        1 => forms.remove(0),
        _ => any_of("All rows, or one", forms),
    }
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
