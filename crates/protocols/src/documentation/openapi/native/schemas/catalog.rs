//! What the simple JSON API tells about the server and its models.

use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::super::super::schema::{
    AnySchema, anything, component, count, either, list, map, object, optional, required, scalar,
    text, text_enum,
};
use super::timestamp;

/// The schemas of health and of what is served.
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
            required("ready", flag("Whether a version serves")),
            required(
                "model_version",
                text_or_null("The latest version that serves"),
            ),
            optional("reason", text("Why none does")),
        ],
    );
    object(
        "",
        [
            required("status", text_enum("", ["healthy", "unhealthy"])),
            optional("reason", text("Why it is not healthy")),
            required("model_loaded", flag("Whether any model serves")),
            required(
                "model_version",
                text_or_null("The version of the only model"),
            ),
            required("gpu_available", flag("Whether a GPU can be used")),
            required("models", map("By name", model)),
        ],
    )
}

fn ready() -> AnySchema {
    object(
        "",
        [
            optional("model", text("The model that was asked for")),
            required("ready", flag("Whether it wants traffic")),
            optional("model_version", text("The latest version that serves")),
            optional("reason", text("Why it does not")),
        ],
    )
}

fn model() -> AnySchema {
    object(
        "",
        [
            required("name", text("")),
            required("ready", flag("Whether a version serves")),
            required(
                "latest",
                text_or_null("The version that answers when none is named"),
            ),
            optional("reason", text("Why none serves")),
            optional("pinned", text("The version that an operator has chosen")),
            optional("labels", map("Versions by label", text(""))),
            required("versions", list("Ascending", component("ModelVersion"))),
        ],
    )
}

fn version() -> AnySchema {
    let states = ["loading", "ready", "unloading", "unavailable"];
    let tensors = |what| list(what, component("ModelTensor"));
    object(
        "One version; from `framework` on only where details are asked for, once it was loaded",
        [
            optional("name", text("The model, unless it stands around this")),
            required("version", text("")),
            required("state", text_enum("", states)),
            optional("reason", text("Why it is in this state")),
            required("requests_in_flight", count("Accepted and not answered yet")),
            optional("framework", text("")),
            optional("platform", text("What runs the model")),
            optional("description", text("")),
            optional("created_at", timestamp("When the model file was written")),
            optional("inputs", tensors("What it takes")),
            optional("outputs", tensors("What it gives")),
            optional("labels", list("The names of the classes", text(""))),
            optional("settings", map("How it is served", anything(""))),
            optional("metadata", map("What the model file tells", text(""))),
            optional("scheduling", component("Scheduling")),
        ],
    )
}

fn scheduling() -> AnySchema {
    let number = |description| scalar(Type::Number, description);
    let cost = object(
        "What runs of about one size took",
        [
            required("rows", number("The mean of their rows")),
            required("time_us", number("The mean of their times")),
            required(
                "deviation",
                number("The standard deviation, as a fraction of the time"),
            ),
        ],
    );
    let waiting = either(
        [Type::Number, Type::Null],
        "How long the answer to one row would take now",
    );
    object(
        "What was measured about runs, and what follows from it now",
        [
            required(
                "execution",
                text_enum("Where requests run", ["inline", "pool"]),
            ),
            required("execution_reason", text("Why they run there")),
            required("cost", list("By rows", cost)),
            required(
                "efficient_batch_rows",
                count("The smallest batch with nearly the best throughput"),
            ),
            required("batch_rows", count("The most rows of a batch")),
            required(
                "hold_us",
                number("How long an idle instance waits for company at most"),
            ),
            required("max_queue_rows", count("The most rows that wait")),
            required("queued_rows", count("Rows that wait")),
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
            required("created_at", timestamp("When the model file was written")),
            required("inputs", tensors("What it takes")),
            required("outputs", tensors("What it gives")),
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
            optional("optional", flag("Whether a request may leave it out")),
        ],
    )
}
