//! The schemas of the Open Inference Protocol that are the same for all models.

use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::super::schema::{
    AnySchema, Field, anything, component, count, list, map, object, optional, required, scalar,
    text, text_enum,
};

/// Returns all schemas.
pub(in super::super) fn schemas() -> Vec<(&'static str, AnySchema)> {
    let mut schemas = inference();
    schemas.extend(server());
    schemas.extend(models());
    schemas.extend(repository());
    schemas.extend(settings());
    schemas
}

fn inference() -> Vec<(&'static str, AnySchema)> {
    let data = || anything("The elements; left out when they follow the JSON as bytes");
    let tensor = |shape_of: &str| {
        object(
            "",
            [
                required("name", text(shape_of)),
                required("datatype", component("DataType")),
                required("shape", list("", count(""))),
                optional("parameters", component("Parameters")),
                optional("data", data()),
            ],
        )
    };
    let inputs = list("", tensor("The name of an input"));
    let outputs = list("", tensor("The name of an output"));
    let name = text("The model that answered");
    let types = contract::ElementType::ALL.map(contract::ElementType::name);
    let parameters = map("", anything("A text, a number or a boolean"));
    vec![
        ("InferRequest", object("", request_fields(inputs))),
        ("InferReply", object("", reply_fields(outputs, name))),
        (
            "DataType",
            text_enum("The type of the elements", types).into(),
        ),
        ("Parameters", parameters),
    ]
}

/// Returns the fields of a request.
pub(super) fn request_fields(inputs: AnySchema) -> [Field; 4] {
    let output = object(
        "",
        [
            required("name", text("The name of an output")),
            optional("parameters", component("Parameters")),
        ],
    );
    [
        optional("id", text("The reply repeats it")),
        optional("parameters", component("Parameters")),
        required("inputs", inputs),
        optional(
            "outputs",
            list("The requested outputs; all when left out", output),
        ),
    ]
}

/// Returns the fields of a reply.
pub(super) fn reply_fields(outputs: AnySchema, name: ObjectBuilder) -> [Field; 5] {
    [
        required("model_name", name),
        required("model_version", text("Its version")),
        optional("id", text("The id of the request")),
        optional("parameters", component("Parameters")),
        required("outputs", outputs),
    ]
}

fn server() -> Vec<(&'static str, AnySchema)> {
    let live = [required("live", scalar(Type::Boolean, ""))];
    let ready = [
        required("ready", scalar(Type::Boolean, "")),
        optional("error", text("The reason when it is not")),
    ];
    let metadata = [
        required("name", text_enum("", ["lockgate"])),
        required("version", text("The version of the server")),
        required("extensions", list("The supported extensions", text(""))),
    ];
    vec![
        ("ServerMetadata", object("", metadata)),
        ("ServerLive", object("", live)),
        ("ServerReady", object("", ready)),
    ]
}

fn models() -> Vec<(&'static str, AnySchema)> {
    let names = [required("models", list("", text("")))];
    let ready = [
        required("name", text("")),
        required("ready", scalar(Type::Boolean, "")),
        optional("error", text("The reason when it is not")),
    ];
    let config = [
        required("name", text("")),
        required("platform", text("")),
        required(
            "max_batch_size",
            count("0 when the model has no batch dimension"),
        ),
        required("input", list("", anything("One input"))),
        required("output", list("", anything("One output"))),
    ];
    vec![
        ("ModelNames", object("", names)),
        ("ModelMetadata", metadata()),
        ("ModelReady", object("", ready)),
        (
            "ModelConfig",
            object("The model configuration in the format of Triton", config),
        ),
        ("Statistics", statistics()),
    ]
}

fn metadata() -> AnySchema {
    let size = scalar(Type::Integer, "-1 when it is not fixed").minimum(Some(-1));
    let spec = object(
        "",
        [
            required("name", text("")),
            required("datatype", component("DataType")),
            required("shape", list("", size)),
        ],
    );
    object(
        "",
        [
            required("name", text("")),
            required("versions", list("The ready versions, ascending", text(""))),
            required("platform", text("The engine and format")),
            required("inputs", list("", spec.clone())),
            required("outputs", list("", spec)),
        ],
    )
}

fn statistics() -> AnySchema {
    let version = object(
        "Counters only grow while a version is loaded",
        [
            required("name", text("")),
            required("version", text("")),
            required(
                "last_inference",
                count("Milliseconds since 1970, 0 for never"),
            ),
            required("inference_count", count("Rows")),
            required("execution_count", count("Runs of the model")),
            required(
                "inference_stats",
                map("Requests by outcome and phase", anything("")),
            ),
            required("batch_stats", list("Runs by batch size", anything(""))),
        ],
    );
    object("", [required("model_stats", list("", version))])
}

fn repository() -> Vec<(&'static str, AnySchema)> {
    let done = |what| {
        let name = required("name", text(""));
        object("", [name, required(what, scalar(Type::Boolean, ""))])
    };
    let states = ["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"];
    let version = object(
        "",
        [
            required("name", text("")),
            optional("version", text("")),
            optional("state", text_enum("", states)),
            optional(
                "reason",
                text("The reason for the state; empty while it is ready"),
            ),
        ],
    );
    let only_ready = optional("ready", scalar(Type::Boolean, "Only ready versions"));
    let parameters = optional("parameters", component("Parameters"));
    vec![
        ("RepositoryIndexRequest", object("", [only_ready])),
        ("RepositoryIndex", list("", version)),
        ("RepositoryRequest", object("", [parameters])),
        ("RepositoryLoad", done("load")),
        ("RepositoryUnload", done("unload")),
    ]
}

fn settings() -> Vec<(&'static str, AnySchema)> {
    let words = |name| optional(name, text(""));
    let flag = |name| optional(name, scalar(Type::Boolean, ""));
    let level = text_enum("", ["OFF", "TIMESTAMPS", "TENSORS"]);
    let trace = [
        optional("trace_level", list("", level)),
        words("trace_rate"),
        words("trace_count"),
        words("log_frequency"),
        words("trace_file"),
        words("trace_mode"),
    ];
    let log = [
        words("log_file"),
        flag("log_info"),
        flag("log_warning"),
        flag("log_error"),
        optional("log_verbose_level", count("")),
        words("log_format"),
    ];
    vec![
        ("TraceSettings", object("", trace)),
        ("LogSettings", object("", log)),
    ]
}
