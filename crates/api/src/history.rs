//! The changes to a model with their actors.

use std::time::{SystemTime, UNIX_EPOCH};

use contract::HistoryEntry;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The changes to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The model.
    pub model: String,
    /// The newest first.
    pub history: Vec<HistoryLine>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryLine {
    /// The time of the change.
    #[schema(format = DateTime)]
    pub at: String,
    /// The value of `x-lockgate-actor`, or `watch`.
    pub actor: String,
    /// The change.
    pub what: String,
    /// The version.
    #[schema(required)]
    pub version: Option<String>,
    /// The fingerprint of its files at that time.
    #[schema(required)]
    pub fingerprint: Option<String>,
}

impl From<&HistoryEntry> for HistoryLine {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            at: time_text(entry.at),
            actor: entry.actor.clone(),
            what: entry.what.clone(),
            version: entry.version.as_ref().map(ToString::to_string),
            fingerprint: entry.fingerprint.clone(),
        }
    }
}

fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let moment = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{moment:.3}")
}
