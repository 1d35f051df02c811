//! Operations and schemas of one version in the Open Inference Protocol.

use contract::TensorSpec;
use serde_json::{Value, json};
use utoipa::openapi::schema::ArrayBuilder;

use super::super::endpoint::Endpoint;
use super::super::media::{Examples, binary_body, binary_reply};
use super::super::model::Model;
use super::super::purpose::Purpose;
use super::super::schema::{AnySchema, object, one_of, text_enum};
use super::super::tensor::{wire_example, wire_input, wire_output};
use super::post;
use super::schemas::{reply_fields, request_fields};

/// Returns the operations of a version.
pub(in super::super) fn endpoints(model: &Model<'_>) -> Vec<Endpoint> {
    let summary = format!("Run version {} of {}", model.info.version, model.info.model);
    let infer = |(part, path): (&str, String)| {
        let id = model.name(&format!("infer{part}"));
        let examples = vec![(String::new(), request_example(model))];
        let body = binary_body(&model.name("InferRequest"), examples);
        let schema = model.name("InferReply");
        let reply = binary_reply("The outputs", &schema, Some(reply_example(model)));
        Endpoint {
            tag: model.tag(),
            purpose: Purpose::Infer,
            ..post(&path, &id, &summary, body, reply)
        }
    };
    let paths = model.paths("/v2", "infer").into_iter();
    paths.map(infer).collect()
}

/// Returns the schemas of a version.
pub(in super::super) fn schemas(model: &Model<'_>) -> Vec<(String, AnySchema)> {
    let signature = &model.info.signature;
    let n_required = signature
        .inputs
        .iter()
        .filter(|spec| !spec.is_optional)
        .count();
    let inputs = tensors(&signature.inputs, wire_input)
        .min_items(Some(n_required))
        .max_items(Some(signature.inputs.len()));
    let outputs = tensors(&signature.outputs, wire_output);
    let name = text_enum("The model that answered", [model.info.model.as_str()]);
    vec![
        (
            model.name("InferRequest"),
            object("", request_fields(inputs.into())),
        ),
        (
            model.name("InferReply"),
            object("", reply_fields(outputs.into(), name)),
        ),
    ]
}

fn tensors(specs: &[TensorSpec], schema: fn(&TensorSpec) -> AnySchema) -> ArrayBuilder {
    let item = match specs {
        [only] => schema(only),
        several => one_of("", several.iter().map(schema)),
    };
    ArrayBuilder::new().items(item)
}

/// Returns examples for the general routes: the latest version of each model.
pub(super) fn infer_examples(models: &[Model<'_>]) -> Examples {
    let latest = models.iter().filter(|model| model.is_latest);
    latest
        .map(|model| (model.info.model.to_string(), request_example(model)))
        .collect()
}

fn request_example(model: &Model<'_>) -> Value {
    let inputs = model.info.signature.inputs.iter();
    let needed = inputs.filter(|spec| !spec.is_optional);
    json!({"inputs": needed.map(wire_example).collect::<Vec<_>>()})
}

fn reply_example(model: &Model<'_>) -> Value {
    let outputs = model.info.signature.outputs.iter();
    json!({
        "model_name": model.info.model.as_str(),
        "model_version": model.info.version.as_str(),
        "outputs": outputs.map(wire_example).collect::<Vec<_>>(),
    })
}
