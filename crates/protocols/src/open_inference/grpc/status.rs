//! Errors as gRPC statuses.
//!
//! Decision: the metadata has the stable code beside the status, which many causes share; a status
//! without it was made by the gRPC library, and `frame` replaces it.

use contract::{Code, Error};
use http::HeaderMap;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::attributes::insert_served_by;
use crate::open_inference::inference::CallInfo;
use crate::status::{ADMISSION_LEVEL, status as statuses};

/// The metadata key of the stable code of an error, such as `invalid_request`.
pub(super) const CODE_KEY: &str = "x-lockgate-code";
/// The metadata key with the time after which a gRPC client may retry.
const PUSHBACK_KEY: &str = "grpc-retry-pushback-ms";

/// Returns the status of `error`, with the same message as REST.
pub(super) fn status(error: &Error) -> Status {
    let code = error.code();
    let mut status = Status::new(statuses(code).grpc, error.message());
    let metadata = status.metadata_mut();
    metadata.insert(CODE_KEY, MetadataValue::from_static(code.as_str()));
    if let Some(after) = error.retry_after() {
        metadata.insert(PUSHBACK_KEY, MetadataValue::from(millis(after)));
    }
    if let Some(level) = error.admission_level() {
        metadata.insert(ADMISSION_LEVEL, MetadataValue::from(level.number()));
    }
    if let Some(served_by) = error.served_by() {
        insert_served_by(served_by.clone(), metadata.as_mut());
    }
    status
}

/// Logs `error` where it is handled, and returns its status.
///
/// Only our own failures are worth an alert; refusals and mistakes are frequent.
pub(super) fn failure(call_info: &CallInfo, error: &Error) -> Status {
    let (id, code, message) = (&call_info.id, error.code().as_str(), error.message());
    let diagnostic = error.diagnostic();
    if matches!(
        error.code(),
        Code::Internal | Code::EngineFailed | Code::EngineLost
    ) {
        tracing::error!(%id, code, message, diagnostic, "call failed");
    } else {
        tracing::debug!(%id, code, message, diagnostic, "call refused");
    }
    status(error)
}

/// Returns the stable code in the metadata of a failed call.
pub(super) fn code_of(headers: &HeaderMap) -> Option<Code> {
    let word = headers.get(CODE_KEY)?.to_str().ok()?;
    Code::ALL.into_iter().find(|code| code.as_str() == word)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
