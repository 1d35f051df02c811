//! The single table from an error code to the statuses of the protocols.
//!
//! Rule: 429 means "ask later", 504 "too late", 503 "ask another"; a client's mistake is never a
//! 5xx.

use contract::{Code, Error};
use http::StatusCode;

/// The header, and the metadata key of gRPC, of the lowest priority that a model admits: 0 while it
/// admits all of them, -1 when it admits none.
///
/// Decision: refusals have it, and no other reply. A proxy that sheds load in front of the server
/// sees the refusals, each with the level of its moment. To add the level to a successful reply,
/// each would have to lock the queue of its model once more, or read a copy of a level that changes
/// with every arrival and by time alone.
pub(crate) const ADMISSION_LEVEL: &str = "x-lockgate-admission-level";

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The status of a REST reply.
    pub(crate) http: StatusCode,
    /// The status of a gRPC reply.
    pub(crate) grpc: tonic::Code,
    /// Is true when a retry can help; the reply then has `Retry-After`.
    pub(crate) is_retryable: bool,
}

/// Returns the statuses of a code.
pub(crate) const fn status(code: Code) -> Status {
    use tonic::Code as Grpc;
    let (http, grpc, is_retryable) = match code {
        Code::InvalidRequest => (StatusCode::BAD_REQUEST, Grpc::InvalidArgument, false),
        Code::Unsupported => (StatusCode::NOT_IMPLEMENTED, Grpc::Unimplemented, false),
        Code::UnsupportedMediaType => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Grpc::InvalidArgument,
            false,
        ),
        Code::RouteNotFound => (StatusCode::NOT_FOUND, Grpc::Unimplemented, false),
        Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Grpc::Unimplemented, false),
        Code::ModelNotFound
        | Code::VersionNotFound
        | Code::RolloutNotFound
        | Code::RequestNotFound => (StatusCode::NOT_FOUND, Grpc::NotFound, false),
        Code::Conflict => (StatusCode::CONFLICT, Grpc::FailedPrecondition, false),
        Code::ModelNotReady => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable, true),
        Code::PayloadTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            Grpc::ResourceExhausted,
            false,
        ),
        Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, Grpc::Aborted, false),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, Grpc::Unauthenticated, false),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, Grpc::PermissionDenied, false),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Grpc::ResourceExhausted, true),
        Code::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable, true),
        // gRPC tells "no memory" from "not there"; HTTP does not.
        Code::BufferFull => (
            StatusCode::SERVICE_UNAVAILABLE,
            Grpc::ResourceExhausted,
            true,
        ),
        Code::Overloaded => (StatusCode::TOO_MANY_REQUESTS, Grpc::ResourceExhausted, true),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable, true),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, Grpc::DeadlineExceeded, false),
        // 499 is what proxies log for a caller that went away; this reply is never read.
        Code::Cancelled => (CLIENT_CLOSED_REQUEST, Grpc::Cancelled, false),
        Code::EngineFailed | Code::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, Grpc::Internal, false)
        }
        Code::EngineLost => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable, true),
    };
    Status {
        http,
        grpc,
        is_retryable,
    }
}

/// The kind of a success reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Success {
    /// The work is done.
    #[default]
    Done,
    /// A resource was created.
    Created,
    /// The work is accepted, and need not be done yet.
    Accepted,
}

/// Returns the status of a success reply.
pub(crate) const fn success(success: Success) -> StatusCode {
    match success {
        Success::Done => StatusCode::OK,
        Success::Created => StatusCode::CREATED,
        Success::Accepted => StatusCode::ACCEPTED,
    }
}

/// Returns the error for a path without a route, for REST and gRPC.
pub(crate) fn unknown_path(path: &str) -> Error {
    Error::new(
        Code::RouteNotFound,
        format!("no route has the path `{path}`; `/docs` lists all routes"),
    )
}

const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_client_is_never_a_server_error() {
        for code in Code::ALL {
            // 501 is a server error by number only: it means that a feature is not supported.
            if code.is_client_mistake() && code != Code::Unsupported {
                assert!(!status(code).http.is_server_error(), "{code}");
            }
        }
    }

    #[test]
    fn the_table_of_the_guide_has_every_code_with_its_status() {
        let guide = include_str!("../../../docs/guide/api.md");
        let rows = guide.lines().filter_map(|line| {
            let mut cells = line.split(" | ");
            let code = cells.next()?.strip_prefix("| `")?.strip_suffix('`')?;
            let (http, grpc) = (cells.next()?, cells.next()?);
            let is_number = http.parse::<u16>().is_ok();
            is_number.then(|| format!("{code} {http} {grpc}"))
        });
        let mut rows: Vec<_> = rows.collect();
        let mut expected: Vec<_> = Code::ALL
            .into_iter()
            .map(|code| {
                let Status { http, grpc, .. } = status(code);
                format!(
                    "{code} {} {}",
                    http.as_u16(),
                    screaming(&format!("{grpc:?}"))
                )
            })
            .collect();
        rows.sort();
        expected.sort();
        assert_eq!(rows, expected);
    }

    /// Writes `InvalidArgument` as `INVALID_ARGUMENT`, as clients spell it.
    fn screaming(name: &str) -> String {
        let mut text = String::new();
        for (index, letter) in name.char_indices() {
            if letter.is_uppercase() && index > 0 {
                text.push('_');
            }
            text.extend(letter.to_uppercase());
        }
        text
    }

    #[test]
    fn the_whole_table() {
        let rows: Vec<_> = Code::ALL
            .into_iter()
            .map(|code| {
                let Status {
                    http,
                    grpc,
                    is_retryable,
                } = status(code);
                let hint = if is_retryable { "retry" } else { "-" };
                format!("{code}: {} {grpc:?} {hint}", http.as_u16())
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @"
        invalid_request: 400 InvalidArgument -
        unsupported: 501 Unimplemented -
        unsupported_media_type: 415 InvalidArgument -
        route_not_found: 404 Unimplemented -
        method_not_allowed: 405 Unimplemented -
        model_not_found: 404 NotFound -
        version_not_found: 404 NotFound -
        rollout_not_found: 404 NotFound -
        conflict: 409 FailedPrecondition -
        request_not_found: 404 NotFound -
        model_not_ready: 503 Unavailable retry
        payload_too_large: 413 ResourceExhausted -
        request_timeout: 408 Aborted -
        unauthenticated: 401 Unauthenticated -
        permission_denied: 403 PermissionDenied -
        rate_limited: 429 ResourceExhausted retry
        queue_full: 503 Unavailable retry
        buffer_full: 503 ResourceExhausted retry
        overloaded: 429 ResourceExhausted retry
        unavailable: 503 Unavailable retry
        deadline_exceeded: 504 DeadlineExceeded -
        cancelled: 499 Cancelled -
        engine_failed: 500 Internal -
        engine_lost: 503 Unavailable retry
        internal: 500 Internal -
        ");
    }
}
