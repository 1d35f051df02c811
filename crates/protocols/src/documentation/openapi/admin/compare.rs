//! The comparison of versions.

use utoipa::openapi::path::HttpMethod;

use super::{Endpoint, json_body, json_reply, post};
use crate::documentation::openapi::purpose::Purpose;

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
