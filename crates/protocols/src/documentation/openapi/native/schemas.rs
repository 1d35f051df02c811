//! The schemas of the simple JSON API that are the same for all models.

use api::components::{self, Component};
use api::feedback::{FeedbackItem, FeedbackReply};
use api::model::{Info, ModelList};
use api::server::{Health, Index, Live, Ready};
use utoipa::openapi::schema::{
    AllOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

use super::super::schema::{
    AnySchema, Field, any_of, anything, component, count, either, list, map, object, one_of,
    optional, required, scalar, text, text_enum,
};

/// Returns all schemas.
pub(in super::super) fn schemas() -> Vec<Component> {
    let name = text("The model that answered");
    let predictions = anything("One output as nested arrays, several in an object by name");
    let mut schemas = vec![
        ("PredictRequest".to_owned(), predict_request()),
        (
            "PredictReply".to_owned(),
            object("", reply_fields(predictions, name)),
        ),
        ("BatchRequest".to_owned(), batch_request()),
        ("BatchReply".to_owned(), batch_reply()),
        ("ImageReply".to_owned(), image_reply()),
        ("Feedback".to_owned(), feedback()),
    ];
    components::add::<FeedbackItem>(&mut schemas);
    components::add::<FeedbackReply>(&mut schemas);
    components::add::<Index>(&mut schemas);
    components::add::<Health>(&mut schemas);
    components::add::<Live>(&mut schemas);
    components::add::<Ready>(&mut schemas);
    components::add::<ModelList>(&mut schemas);
    components::add::<Info>(&mut schemas);
    schemas
}

fn feedback() -> AnySchema {
    let needs = |name: &str| ObjectBuilder::new().required(name).into();
    let one = AllOfBuilder::new()
        .item(component("FeedbackItem"))
        .item(one_of("", [needs("request_id"), needs("unit")]))
        .item(one_of("", [needs("reward"), needs("label")]))
        .build();
    let one = AnySchema::from(Schema::AllOf(one));
    let many = list("At most `max_batch_requests`", one.clone());
    one_of("Feedback on answers", [one, many])
}

fn predict_request() -> AnySchema {
    let form = |input: Field| {
        let model = text("The model; not needed while only one is served, or with it in the path");
        let fields = [input, optional("model", model)];
        object("", fields.into_iter().chain(request_fields()))
    };
    let any = || anything("Nested arrays of numbers, booleans or texts");
    let fields = || map("The inputs by name", any());
    let records = list("Records: objects with one row of every input", fields());
    any_of(
        "The only input, the inputs by name, or records; under a key, or as the body itself",
        [
            form(required("data", any())),
            form(required("input", any())),
            form(required("instances", any())),
            form(required("inputs", any_of("", [fields(), records]))),
            fields(),
            list("The value of `data`", any()),
        ],
    )
}

/// Returns the fields of a request beside its inputs.
pub(super) fn request_fields() -> [Field; 3] {
    let version = either(
        [Type::String, Type::Integer],
        "The version; the latest when it is left out",
    );
    let outputs = list(
        "The names of the requested outputs; all when left out",
        text(""),
    );
    let timeout = count("The time in milliseconds after which the caller needs no answer");
    [
        optional("model_version", version),
        optional("outputs", outputs),
        optional("timeout_ms", timeout),
    ]
}

/// Returns the fields of a reply beside its predictions.
pub(super) fn reply_fields(predictions: AnySchema, model: ObjectBuilder) -> [Field; 6] {
    let time = scalar(Type::Number, "The time of the request in the server").minimum(Some(0));
    [
        required("predictions", predictions),
        required("model", model),
        required("model_version", text("Its version")),
        required("api_version", text_enum("The version of this API", ["v1"])),
        required("timestamp", timestamp("The time of the reply")),
        required("inference_time_ms", time),
    ]
}

/// Returns the schema of a point in time.
fn timestamp(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn batch_request() -> AnySchema {
    let requests = || list("Requests for any models", component("PredictRequest"));
    let form = object("", [required("requests", requests())]);
    any_of("", [form, requests()])
}

fn batch_reply() -> AnySchema {
    let result = one_of("", [component("PredictReply"), component("Error")]);
    let order = "In the order of the requests; `arm` names the arm of a split that answered";
    let results = list(order, result);
    object("", [required("results", results)])
}

fn image_reply() -> AnySchema {
    let label = text("The name of the class, when the model has labels");
    let probability = "From 0 to 1, when the scores of all classes sum to 1 within 0.01";
    let score = "In place of `probability` otherwise, as for logits without `output.softmax`";
    let class = object(
        "",
        [
            required("class_id", count("The number of the class")),
            optional("probability", scalar(Type::Number, probability)),
            optional("score", scalar(Type::Number, score)),
            optional("label", label),
        ],
    );
    let classes = list("The best classes, the highest score first", class);
    let name = text("The model that answered");
    object("", reply_fields(classes, name))
}
