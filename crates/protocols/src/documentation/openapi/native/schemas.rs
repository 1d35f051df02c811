//! The schemas of the simple JSON API that no model changes.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::super::schema::{
    AnySchema, Field, anything, component, count, list, map, object, one_of, optional, required,
    scalar, text, word,
};

/// All of them.
pub(in super::super) fn schemas() -> Vec<(&'static str, AnySchema)> {
    let any = || anything("Nested arrays of numbers, booleans or texts");
    let name = text("The model that answered");
    let version = text("Its version");
    vec![
        ("PredictRequest", predict_request()),
        (
            "PredictReply",
            object("", reply_fields(any(), name, version)),
        ),
        ("BatchRequest", batch_request()),
        ("BatchReply", batch_reply()),
        ("ImageReply", image_reply()),
        ("Health", health()),
        ("ModelList", model_list()),
        ("Model", model()),
    ]
}

fn predict_request() -> AnySchema {
    let form = |field: Field| {
        let model = text("The model; not needed while only one is served, or with it in the path");
        object(
            "",
            [
                field,
                optional("model", model),
                optional("model_version", model_version()),
            ],
        )
    };
    let any = || anything("Nested arrays of numbers, booleans or texts");
    one_of(
        "The inputs by name, or the only input as `data` or `input`",
        [
            form(required("data", any())),
            form(required("input", any())),
            form(required("inputs", map("The inputs by name", any()))),
        ],
    )
}

/// The version in a body.
pub(super) fn model_version() -> ObjectBuilder {
    text("The version; the latest when it is left out")
}

/// What a reply has beside its predictions.
pub(super) fn reply_fields(
    predictions: AnySchema,
    model: ObjectBuilder,
    version: ObjectBuilder,
) -> [Field; 6] {
    let timestamp = text("When the reply was written")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let time = scalar(Type::Number, "How long the request took in the server").minimum(Some(0));
    [
        required("predictions", predictions),
        required("model", model),
        required("model_version", version),
        required("api_version", word("The version of this API", ["v1"])),
        required("timestamp", timestamp),
        required("inference_time_ms", time),
    ]
}

fn batch_request() -> AnySchema {
    let requests = list("Requests for any models", component("PredictRequest"));
    object("", [required("requests", requests)])
}

fn batch_reply() -> AnySchema {
    let result = one_of("", [component("PredictReply"), component("Error")]);
    object(
        "",
        [required(
            "results",
            list("In the order of the requests", result),
        )],
    )
}

fn image_reply() -> AnySchema {
    let class = object(
        "",
        [
            required("class_id", count("The number of the class")),
            required("probability", scalar(Type::Number, "")),
            optional(
                "label",
                text("The name of the class, when the model has labels"),
            ),
        ],
    );
    let name = text("The model that answered");
    object(
        "",
        reply_fields(
            list("The most probable classes, best first", class),
            name,
            text("Its version"),
        ),
    )
}

fn health() -> AnySchema {
    object("", [required("status", text("How the server is doing"))])
}

fn model_list() -> AnySchema {
    object("", [required("models", list("", component("Model")))])
}

fn model() -> AnySchema {
    object("", [required("name", text("Its name"))])
}
