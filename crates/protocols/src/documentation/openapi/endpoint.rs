//! A builder for one operation of the document, from the parts in which ours differ.
//!
//! Decision: path parameters are read from the path, and failures follow from the purpose, so that
//! no operation can omit them.

use contract::Code;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::{
    ComponentsBuilder, Header, Ref, RefOr, Required, Response, ResponsesBuilder,
    request_body::RequestBody,
};

use super::failure::{self, Shape};
use super::media::json_reply;
use super::purpose::Purpose;
use super::schema::{count, text, text_enum};
use crate::status::{status, success};

/// One operation.
pub(super) struct Endpoint {
    /// The method.
    pub(super) method: HttpMethod,
    /// The path, with its parameters in braces.
    pub(super) path: String,
    /// The id, unique in the document.
    pub(super) id: String,
    /// The group that it is shown in.
    pub(super) tag: String,
    /// The summary.
    pub(super) summary: String,
    /// The shape of its errors.
    pub(super) errors: Shape,
    /// The purpose.
    pub(super) purpose: Purpose,
    /// Its parameters beside those of the path.
    pub(super) parameters: Vec<Parameter>,
    /// The request body.
    pub(super) body: Option<RequestBody>,
    /// The reply of a success.
    pub(super) reply: Response,
    /// The reply with the status of this code, in place of an error.
    pub(super) refusal: Option<(Code, Response)>,
}

impl Endpoint {
    /// Builds the operation of the document.
    pub(super) fn operation(self) -> Operation {
        let mut reply = self.reply;
        if self.purpose == Purpose::Infer {
            reply.headers.extend(served_by_headers());
        }
        let success = success(self.purpose.success());
        let responses = ResponsesBuilder::new().response(success.as_str(), reply);
        let mut responses = failure::add(responses, self.errors, self.purpose);
        if let Some((code, reply)) = self.refusal {
            responses = responses.response(status(code).http.as_u16().to_string(), reply);
        }
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag)
            .summary(Some(self.summary))
            .request_body(self.body)
            .responses(responses.build());
        for name in path_parameters(&self.path) {
            operation = operation.parameter(path_parameter(name));
        }
        for parameter in self.parameters {
            operation = operation.parameter(parameter);
        }
        operation = operation.parameter_ref(parameter_reference(REQUEST_ID));
        if self.purpose == Purpose::Infer {
            operation = operation
                .parameter_ref(parameter_reference(REQUEST_TIMEOUT))
                .parameter_ref(parameter_reference(STRICT_JSON));
        }
        operation.build()
    }
}

/// Returns the headers of the version that answered; absent when one call has several requests.
fn served_by_headers() -> [(String, RefOr<Header>); 3] {
    let header = |name: &str, description: &str| {
        let mut header = Header::new(text(""));
        header.description = Some(description.to_owned());
        (name.to_owned(), RefOr::T(header))
    };
    [
        header("x-lockgate-version", "The version that answered"),
        header("x-lockgate-arm", "The arm of the split, when there is one"),
        header(
            "x-lockgate-propensity",
            "The probability that the arm had for this request, when the split is a bandit",
        ),
    ]
}

/// Returns the endpoint with a refusal that has the same schema as its success.
pub(super) fn with_refusal(endpoint: Endpoint, code: Code, schema: &str) -> Endpoint {
    Endpoint {
        refusal: Some((code, json_reply("Not ready, with the reason", schema, None))),
        ..endpoint
    }
}

const REQUEST_ID: &str = "RequestId";
const REQUEST_TIMEOUT: &str = "RequestTimeout";
const STRICT_JSON: &str = "StrictJson";

/// Adds the headers that many operations accept.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let id = ParameterBuilder::new()
        .name("x-request-id")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The id of this request, for logs; the reply repeats it",
        ))
        .schema(Some(text("")));
    let timeout = ParameterBuilder::new()
        .name("x-request-timeout-ms")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The time in milliseconds after which the caller needs no answer",
        ))
        .schema(Some(count("")));
    let strict_json = ParameterBuilder::new()
        .name("strict_json")
        .parameter_in(ParameterIn::Query)
        .description(Some(
            "`true` for NaN and infinities as `null`, `false` for the literals `NaN`, `Infinity` \
             and `-Infinity`; the setting of the server when it is left out",
        ))
        .schema(Some(text_enum("", ["true", "false"])));
    components
        .parameter(REQUEST_ID, id.build())
        .parameter(REQUEST_TIMEOUT, timeout.build())
        .parameter(STRICT_JSON, strict_json.build())
}

/// Returns an optional parameter of the query string.
pub(super) fn query(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(text("")))
        .build()
}

fn path_parameter(name: &str) -> Parameter {
    let description = match name {
        "version" => "A version, a label, or `latest`",
        "label" => "A label of a version",
        "rollout" => "The name of a rollout",
        "replica" => "A name that a server draws at each start",
        _ => "The name of a model",
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(text("")))
        .build()
}

/// Returns the names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter_reference(name: &str) -> Ref {
    Ref::new(format!("#/components/parameters/{name}"))
}
