//! Media types of bodies.
//!
//! Decision: a missing type and the one that `curl -d` sends count as JSON, because hand-written
//! callers forget the header; the error for a picture or form on the wrong route names the right
//! one.

use std::borrow::Cow;

use contract::{Code, Error, Result};
use http::{HeaderMap, header};

use crate::rest::Call;

/// Returns the media type of the body in lower case, without parameters; empty when there is none.
pub(super) fn media_type(headers: &HeaderMap) -> Cow<'_, str> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(essence.to_ascii_lowercase()),
        false => Cow::Borrowed(essence),
    }
}

/// Checks that a body can be JSON.
pub(super) fn require_json(call: &Call) -> Result<()> {
    let media_type = media_type(&call.headers);
    let is_json = matches!(
        &*media_type,
        "" | "application/json" | "text/json" | "text/plain" | "application/x-www-form-urlencoded"
    );
    if is_json || media_type.ends_with("+json") {
        return Ok(());
    }
    let advice = match media_type.starts_with("image/") || media_type.starts_with("multipart/") {
        true => "; send images to `/predict/image`",
        false => "",
    };
    Err(Error::new(
        Code::UnsupportedMediaType,
        format!("expected a body of type `application/json`, got `{media_type}`{advice}"),
    ))
}
