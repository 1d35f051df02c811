//! Schemas of the server state and of models in the simple JSON API.

use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::super::super::schema::{
    AnySchema, anything, component, count, either, list, map, object, optional, required, scalar,
    text, text_enum,
};
use super::timestamp;

/// Returns the schemas of health and of the catalog.
pub(super) fn schemas() -> Vec<(&'static str, AnySchema)> {
    vec![
        ("Index", index()),
        ("Health", health()),
        ("Live", object("", [required("live", flag(""))])),
        ("Ready", ready()),
        (
            "ModelList",
            object("", [required("models", list("", component("Model")))]),
        ),
        ("Model", model()),
        ("ModelVersion", version()),
        ("Scheduling", scheduling()),
        ("ModelInfo", info()),
        ("ModelTensor", tensor()),
    ]
}

fn flag(description: &str) -> ObjectBuilder {
    scalar(Type::Boolean, description)
}

fn text_or_null(description: &str) -> ObjectBuilder {
    either([Type::String, Type::Null], description)
}

fn index() -> AnySchema {
    let paths = [
        "predict",
        "models",
        "health",
        "metrics",
        "open_inference",
        "openapi",
        "docs",
    ];
    let facts = ["name", "version", "api_version", "status"];
    let facts = facts.map(|name| required(name, text("")));
    let paths = paths.map(|name| required(name, text("A path")));
    object("", facts.into_iter().chain(paths))
}

fn health() -> AnySchema {
    let model = object(
        "",
        [
            required("ready", flag("True when a version is ready")),
            required("model_version", text_or_null("The latest ready version")),
            optional("reason", text("The reason when no version is ready")),
        ],
    );
    object(
        "",
        [
            required("status", text_enum("", ["healthy", "unhealthy"])),
            optional("reason", text("The reason when it is not healthy")),
            required("model_loaded", flag("True when any model is ready")),
            required(
                "model_version",
                text_or_null("The version of the only model"),
            ),
            required("gpu_available", flag("True when a GPU can be used")),
            required("models", map("By name", model)),
        ],
    )
}

fn ready() -> AnySchema {
    object(
        "",
        [
            optional("model", text("The model of the query")),
            required("ready", flag("True when it accepts requests")),
            optional("model_version", text("The latest ready version")),
            optional("reason", text("The reason when it is not ready")),
        ],
    )
}

fn model() -> AnySchema {
    object(
        "",
        [
            required("name", text("")),
            required("ready", flag("True when a version is ready")),
            required(
                "latest",
                text_or_null("The version that answers when none is named"),
            ),
            optional("reason", text("The reason when no version is ready")),
            optional("pinned", text("The pinned version")),
            optional("labels", map("Versions by label", text(""))),
            required("versions", list("Ascending", component("ModelVersion"))),
        ],
    )
}

fn version() -> AnySchema {
    let states = ["loading", "ready", "unloading", "unavailable"];
    let tensors = |what| list(what, component("ModelTensor"));
    object(
        "One version; the fields from `framework` on only in detailed replies, once it was loaded",
        [
            optional("name", text("The model, when no outer object names it")),
            required("version", text("")),
            required("state", text_enum("", states)),
            optional("reason", text("The reason for its state")),
            required("requests_in_flight", count("Accepted and not answered yet")),
            optional("framework", text("")),
            optional("platform", text("The engine and format")),
            optional("description", text("")),
            optional(
                "created_at",
                timestamp("The modification time of the model file"),
            ),
            optional("inputs", tensors("The inputs")),
            optional("outputs", tensors("The outputs")),
            optional("labels", list("The names of the classes", text(""))),
            optional("settings", map("The model settings", anything(""))),
            optional("metadata", map("The metadata of the model file", text(""))),
            optional("scheduling", component("Scheduling")),
        ],
    )
}

fn scheduling() -> AnySchema {
    let number = |description| scalar(Type::Number, description);
    let cost = object(
        "Measured runs of about one size",
        [
            required("rows", number("The mean of their rows")),
            required("time_us", number("The mean of their times")),
            required(
                "deviation",
                number("The standard deviation, as a fraction of the time"),
            ),
        ],
    );
    let waiting = either([Type::Number, Type::Null], "The time to answer one row now");
    object(
        "Measurements of runs, and the limits that follow from them",
        [
            required(
                "execution",
                text_enum("The execution target", ["inline", "pool"]),
            ),
            required(
                "execution_reason",
                text("The reason for the execution target"),
            ),
            required("cost", list("By rows", cost)),
            required(
                "efficient_batch_rows",
                count("The smallest batch with nearly the best throughput"),
            ),
            required("batch_rows", count("The most rows of a batch")),
            required(
                "hold_us",
                number("The most time that an idle instance waits for more requests"),
            ),
            required("max_queue_rows", count("The most rows in the queue")),
            required("queued_rows", count("Rows in the queue")),
            required("predicted_wait_us", waiting),
            required(
                "admission_level",
                count(
                    "The lowest priority of which one row would be admitted now: 0 for all of \
                     them, -1 for none",
                )
                .minimum(Some(-1)),
            ),
        ],
    )
}

fn info() -> AnySchema {
    let shape = || anything("A list of sizes, or several by name; -1 is any size");
    let tensors = |what| list(what, component("ModelTensor"));
    object(
        "",
        [
            required("model_name", text("")),
            required("version", text("")),
            required("framework", text("")),
            required("input_shape", shape()),
            required("output_shape", shape()),
            required(
                "created_at",
                timestamp("The modification time of the model file"),
            ),
            required("inputs", tensors("The inputs")),
            required("outputs", tensors("The outputs")),
        ],
    )
}

fn tensor() -> AnySchema {
    let size = scalar(Type::Integer, "-1 for any size").minimum(Some(-1));
    object(
        "",
        [
            required("name", text("")),
            required("datatype", component("DataType")),
            required("shape", list("", size)),
            optional("optional", flag("True when a request may leave it out")),
        ],
    )
}
