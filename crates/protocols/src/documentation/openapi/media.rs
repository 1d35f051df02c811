//! Bodies and replies: a media type, a schema, and examples.

use serde_json::Value;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};
use utoipa::openapi::{Required, Response, ResponseBuilder};

use super::schema::{component, object, required, text};

/// Example bodies by name; the name of a single one is not shown.
pub(super) type Examples = Vec<(String, Value)>;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// A JSON body of a named schema.
pub(super) fn json_body(schema: &str, examples: Examples) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(JSON, json_content(schema, examples))
        .build()
}

/// A JSON body that may also be followed by tensors as bytes.
pub(super) fn binary_body(schema: &str, examples: Examples) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .description(Some(
            "With the header `Inference-Header-Content-Length: n` the first `n` bytes are the \
             JSON, and the rest are the tensors that have a `binary_data_size`.",
        ))
        .content(JSON, json_content(schema, examples))
        .content(BYTES, Content::default())
        .build()
}

/// A JSON body of a named schema that may be left out.
pub(super) fn optional_json_body(schema: &str) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::False))
        .content(JSON, json_content(schema, Vec::new()))
        .build()
}

/// A rollout file.
pub(super) fn rollout_body(schema: &str) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(JSON, json_content(schema, Vec::new()))
        .content("application/yaml", json_content(schema, Vec::new()))
        .build()
}

/// A picture, as a form or as the whole body.
pub(super) fn image_body() -> RequestBody {
    let picture = text("JPEG, PNG, WebP, BMP or GIF")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    let form = object("", [required("file", picture)]);
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("multipart/form-data", Content::new(Some(form)));
    ["image/jpeg", "image/png", "image/webp", BYTES]
        .into_iter()
        .fold(body, |body, media| body.content(media, Content::default()))
        .build()
}

/// A JSON reply of a named schema.
pub(super) fn json_reply(description: &str, schema: &str, example: Option<Value>) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(component(schema)))
        .example(example);
    ResponseBuilder::new()
        .description(description)
        .content(JSON, content)
        .build()
}

/// A JSON reply that may also be followed by tensors as bytes.
pub(super) fn binary_reply(description: &str, schema: &str, example: Option<Value>) -> Response {
    let mut reply = json_reply(description, schema, example);
    let bytes = Content::default();
    reply.content.insert(BYTES.to_owned(), bytes.into());
    reply
}

/// A reply in text of a media type.
pub(super) fn text_reply(description: &str, media_type: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(media_type, Content::new(Some(text(""))))
        .build()
}

fn json_content(schema: &str, examples: Examples) -> Content {
    let content = ContentBuilder::new().schema(Some(component(schema)));
    if let [(_, only)] = examples.as_slice() {
        return content.example(Some(only.clone())).build();
    }
    let examples = examples.into_iter().map(|(name, value)| {
        let example = ExampleBuilder::new().value(Some(value)).build();
        (name, example)
    });
    content.examples_from_iter(examples).build()
}
