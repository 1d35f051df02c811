//! Replies of a server, read as documents of its API.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a reply; keys that a newer server has added are ignored.
///
/// # Errors
/// When it is another document than this version of Lockgate knows.
pub(super) fn read<T: DeserializeOwned>(reply: &Value) -> Result<T> {
    T::deserialize(reply)
        .context("the reply of the server has an unknown format; use the same version of Lockgate")
}
