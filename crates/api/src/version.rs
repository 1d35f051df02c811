//! A version or label, with or without quotes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A version or a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a version or a label")]
pub enum VersionText {
    /// Without quotes.
    Number(u64),
    /// With quotes, or with a letter.
    Text(String),
}

impl VersionText {
    /// Returns the text that the caller meant.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// The choice of a version, for a label or as the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionChoice {
    /// A version or a label.
    pub version: VersionText,
}
