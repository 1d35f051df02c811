//! JSON documents, as they cross crates.

use contract::{Error, RawJson, Result};
use serde::Serialize;

/// Serializes a value as a JSON document.
pub(super) fn document(value: &impl Serialize) -> Result<RawJson> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| Error::internal(format!("invalid document: {error}")))?;
    Ok(RawJson::new(&text))
}

/// Joins documents into one JSON array.
pub(super) fn array<'a>(documents: impl Iterator<Item = &'a str>) -> RawJson {
    let documents: Vec<_> = documents.collect();
    RawJson::new(&format!("[{}]", documents.join(",")))
}
