//! Failures: the list of codes, one reply for each status, and the possible failures of operations.
//!
//! Decision: codes come from `contract` and statuses from `status`, so the document cannot differ
//! from what the server does.

use std::collections::BTreeMap;

use contract::Code;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Header, ObjectBuilder, Ref, Response, ResponseBuilder,
    ResponsesBuilder,
};

use super::purpose::Purpose;
use super::schema::{AnySchema, component, count, object, optional, required, text, text_enum};
use crate::status::{ADMISSION_LEVEL, status};

/// The codes of a model that sheds load.
const SHEDDING: [Code; 2] = [Code::QueueFull, Code::Overloaded];

/// The shape of errors in a family of routes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"error": {"code", "message", "request_id"}}`
    Native,
    /// `{"error": "text", "code", "request_id"}`
    OpenInference,
}

impl Shape {
    const ALL: [Self; 2] = [Self::Native, Self::OpenInference];

    const fn schema_name(self) -> &'static str {
        match self {
            Self::Native => "Error",
            Self::OpenInference => "OpenInferenceError",
        }
    }

    fn response_name(self, status: u16) -> String {
        format!("{}{status}", self.schema_name())
    }
}

/// Adds the schemas and replies of all failures.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let schemas = [
        ("ErrorCode", code_schema()),
        (Shape::Native.schema_name(), native_schema()),
        (Shape::OpenInference.schema_name(), open_inference_schema()),
    ];
    let replies = Shape::ALL.into_iter().flat_map(|shape| {
        codes_by_status().into_iter().map(move |(status, codes)| {
            let name = shape.response_name(status);
            (name, reply(shape, &codes))
        })
    });
    components
        .schemas_from_iter(schemas)
        .responses_from_iter(replies)
}

/// Adds the failures of an operation.
pub(super) fn add(responses: ResponsesBuilder, shape: Shape, purpose: Purpose) -> ResponsesBuilder {
    codes_by_status()
        .into_iter()
        .filter(|(_, codes)| codes.iter().any(|&code| can_fail_with(purpose, code)))
        .fold(responses, |responses, (status, _)| {
            let reply = Ref::from_response_name(shape.response_name(status));
            responses.response(status.to_string(), reply)
        })
}

fn codes_by_status() -> BTreeMap<u16, Vec<Code>> {
    let mut groups: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        let status = status(code).http.as_u16();
        groups.entry(status).or_default().push(code);
    }
    groups
}

/// Returns whether the document lists `code` for an operation with this purpose.
fn can_fail_with(purpose: Purpose, code: Code) -> bool {
    use Purpose::{
        Change, Infer, Model, Rollout, RolloutAction, RolloutSimulation, RolloutStart, Server,
    };
    match code {
        Code::InvalidRequest | Code::Unavailable | Code::Internal => true,
        Code::ModelNotFound => {
            matches!(
                purpose,
                Model | Infer | Change | RolloutStart | Purpose::Feedback
            )
        }
        Code::VersionNotFound => matches!(purpose, Model | Infer | Change | RolloutStart),
        Code::RequestNotFound => purpose == Purpose::Feedback,
        Code::RolloutNotFound => matches!(purpose, Rollout | RolloutAction),
        Code::ModelNotReady => matches!(purpose, Model | Infer | Change),
        Code::PayloadTooLarge
        | Code::BufferFull
        | Code::RequestTimeout
        | Code::UnsupportedMediaType => !matches!(purpose, Server | Model | Rollout),
        Code::Unsupported => !matches!(purpose, Server | Model),
        Code::EngineFailed | Code::EngineLost => matches!(purpose, Infer | Change),
        Code::QueueFull | Code::DeadlineExceeded => purpose == Infer,
        Code::Overloaded => matches!(purpose, Infer | RolloutSimulation),
        Code::Conflict => {
            matches!(purpose, Change | RolloutStart | RolloutAction)
        }
        // These belong to other paths, reach no caller, or come from a guard before all operations.
        Code::RouteNotFound
        | Code::MethodNotAllowed
        | Code::Cancelled
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::RateLimited => false,
    }
}

fn reply(shape: Shape, codes: &[Code]) -> Response {
    let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
    let content = ContentBuilder::new().schema(Some(component(shape.schema_name())));
    let reply = ResponseBuilder::new()
        .description(names.join(", "))
        .content("application/json", content.build());
    if !codes.iter().any(|&code| status(code).is_retryable) {
        return reply.build();
    }
    let header = |schema: ObjectBuilder, description: &str| {
        let mut header = Header::new(schema);
        header.description = Some(description.to_owned());
        header
    };
    let seconds = header(count(""), "Seconds after which a retry makes sense");
    let level = header(
        count("").minimum(Some(-1)),
        "The lowest priority that the model admits now, when it sheds load: 0 for all \
         of them, -1 for none",
    );
    let reply = reply.header("Retry-After", seconds);
    let may_shed = codes.iter().any(|code| SHEDDING.contains(code));
    match may_shed {
        true => reply.header(ADMISSION_LEVEL, level).build(),
        false => reply.build(),
    }
}

fn code_schema() -> AnySchema {
    let mut description =
        "The stable code of the failure.\n\n| Code | Status | A retry can help |\n|---|---|---|\n"
            .to_owned();
    for code in Code::ALL {
        let status = status(code);
        let retry = if status.is_retryable { "yes" } else { "no" };
        let row = format!("| `{code}` | {} | {retry} |\n", status.http.as_u16());
        description.push_str(&row);
    }
    text_enum(&description, Code::ALL.map(Code::as_str)).into()
}

fn native_schema() -> AnySchema {
    let error = object(
        "",
        [
            required("code", component("ErrorCode")),
            required("message", text("The mistake and its remedy")),
            optional("model_version", text("The version that failed")),
            required("request_id", text("The id of the request, as in the log")),
        ],
    );
    object(
        "A failure of the simple JSON API",
        [required("error", error)],
    )
}

fn open_inference_schema() -> AnySchema {
    object(
        "A failure of the Open Inference Protocol",
        [
            required("error", text("The mistake and its remedy")),
            required("code", component("ErrorCode")),
            required("request_id", text("The id of the request, as in the log")),
        ],
    )
}
