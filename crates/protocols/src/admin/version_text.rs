//! A version or label in a body, with or without quotes.

use serde::{Deserialize, Serialize};

/// A version or label, with or without quotes.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a version or a label")]
pub(super) enum VersionText {
    Number(u64),
    Text(String),
}

impl VersionText {
    /// Returns the text that the caller meant.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}
