//! The comparison of versions.

use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::{Endpoint, json_body, json_reply, post};
use crate::documentation::openapi::purpose::Purpose;
use crate::documentation::openapi::schema::{
    AnySchema, anything, count, either, list, object, optional, required, scalar, text, text_enum,
};

/// The operation.
pub(super) fn endpoint() -> Endpoint {
    Endpoint {
        method: HttpMethod::Post,
        path: "/api/compare".to_owned(),
        purpose: Purpose::Change,
        reply: json_reply("The report", "ComparisonReport", None),
        ..post(
            "compareVersions",
            "Run the same inputs on several versions",
            json_body("Comparison", Vec::new()),
        )
    }
}

/// Returns the schemas of body and reply.
pub(super) fn schemas() -> [(&'static str, AnySchema); 2] {
    [("Comparison", comparison()), ("ComparisonReport", report())]
}

fn number(description: &str) -> ObjectBuilder {
    scalar(Type::Number, description)
}

/// A number, or `null` when it is unknown.
fn nullable_number(description: &str) -> ObjectBuilder {
    either([Type::Number, Type::Null], description)
}

fn comparison() -> AnySchema {
    let version = either([Type::String, Type::Integer], "A version or a label");
    object(
        "`items` or `recorded`",
        [
            required("model", text("The model")),
            required(
                "versions",
                list("Two or more; the first one is the reference", version),
            ),
            optional(
                "items",
                list("Bodies of `/predict`, up to 1000", anything("")),
            ),
            optional(
                "recorded",
                count("The number of the next requests to record, up to 1000"),
            ),
            optional(
                "timeout_s",
                number("Seconds to wait for these, 30 when left out"),
            ),
            optional(
                "labels",
                list(
                    "The right class of each item, or an array with one for each of its rows",
                    anything(""),
                ),
            ),
            optional(
                "atol",
                number("The absolute difference that numbers may have, 1e-5 when left out"),
            ),
            optional(
                "rtol",
                number("The same as a share of the number of the reference, 1e-3 when left out"),
            ),
            optional(
                "concurrency",
                count("Concurrent requests of a second run that measures the throughput"),
            ),
        ],
    )
}

fn report() -> AnySchema {
    object(
        "",
        [
            required("model", text("")),
            required("source", text_enum("", ["given", "recorded"])),
            required("items", count("")),
            required("rows", count("")),
            required("atol", number("")),
            required("rtol", number("")),
            required("concurrency", count("")),
            required("versions", list("In the order of the body", version())),
            required(
                "pairs",
                list("The reference compared with each other version", pair()),
            ),
        ],
    )
}

fn version() -> AnySchema {
    let times = ["mean", "p50", "p95", "p99", "max"].map(|name| required(name, number("")));
    let curve = list("Percentiles 0, 5, ... 100", number(""));
    let latency = times.into_iter().chain([required("curve", curve)]);
    let accuracy = [
        required("correct", count("")),
        required("labelled", count("")),
        required("ratio", number("")),
    ];
    object(
        "",
        [
            required("version", text("")),
            required("named", text("The version or label in the body")),
            required("answers", count("")),
            required("errors", count("")),
            optional("first_error", text("")),
            required("rows", count("Answered rows")),
            optional("latency_ms", object("One item at a time", latency)),
            required("rows_per_second", nullable_number("One item at a time")),
            required(
                "rows_per_second_together",
                nullable_number("Several at once"),
            ),
            optional("accuracy", object("With labels", accuracy)),
            required("model_file_size", nullable_number("In bytes")),
            required("instances", count("")),
            required(
                "has_shared_weights",
                scalar(Type::Boolean, "True when its instances share one copy"),
            ),
        ],
    )
}

fn classes() -> AnySchema {
    let cell = object(
        "",
        [
            required("reference", text("The class that the reference gives")),
            required("other", text("The class that the other version gives")),
            required("rows", count("")),
        ],
    );
    object(
        "For classifiers",
        [
            required("agreement", number("The share of rows with the same class")),
            required("rows", count("")),
            required("same", count("")),
            required("confusion", list("The 20 most frequent classes", cell)),
        ],
    )
}

fn pair() -> AnySchema {
    let output = object(
        "`null` where a number was compared with one that is not finite",
        [
            required("name", text("")),
            required("elements", count("")),
            required("differing", count("Elements out of tolerance")),
            required("largest_absolute", nullable_number("")),
            required("largest_relative", nullable_number("")),
            required("mean_absolute", nullable_number("")),
        ],
    );
    let met = [
        "both_correct",
        "only_reference_correct",
        "only_other_correct",
        "neither_correct",
    ];
    let met = met.map(|name| required(name, count("")));
    object(
        "",
        [
            required("reference", text("")),
            required("other", text("")),
            required(
                "agreement",
                number("The share of items whose outputs agree"),
            ),
            required("pairs", count("Items that both answered")),
            required("agreeing", count("")),
            required(
                "same_shape",
                count("Items with the same names, types and shapes"),
            ),
            required("only_reference_failed", count("")),
            required("only_other_failed", count("")),
            required("outputs", list("", output)),
            optional("classes", classes()),
            optional("labels", object("With labels, in rows", met)),
            required(
                "differing_items",
                list("The first 100 that differ, from 0", count("")),
            ),
        ],
    )
}
