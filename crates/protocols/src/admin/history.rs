//! `GET /api/models/{model}/history`: the changes to a model with their actors, the newest first.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use contract::{Error, HistoryEntry, Result};
use jiff::Timestamp;
use serde::Serialize;

use crate::context::Context;
use crate::rest::{Call, Reply};

/// Lines that are returned without `limit`.
const DEFAULT_LIMIT: usize = 20;

/// The most lines of one reply.
const MAX_LIMIT: usize = 1000;

#[derive(Serialize)]
struct HistoryReply<'a> {
    model: &'a str,
    history: Vec<EntryReply<'a>>,
}

#[derive(Serialize)]
struct EntryReply<'a> {
    at: String,
    actor: &'a str,
    what: &'a str,
    version: Option<&'a str>,
    fingerprint: Option<&'a str>,
}

impl<'a> EntryReply<'a> {
    fn new(entry: &'a HistoryEntry) -> Self {
        Self {
            at: time_text(entry.at),
            actor: &entry.actor,
            what: &entry.what,
            version: entry.version.as_ref().map(contract::Version::as_str),
            fingerprint: entry.fingerprint.as_deref(),
        }
    }
}

/// Handles `GET .../history`.
pub(super) async fn show(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let model = call.required_model()?;
    let entries = ctx.control.history(&model, limit(&call)?).await?;
    let reply = HistoryReply {
        model: model.as_str(),
        history: entries.iter().map(EntryReply::new).collect(),
    };
    let json = serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Reply::json(json))
}

/// Returns the number of lines from the query.
pub(super) fn limit(call: &Call) -> Result<usize> {
    let Some(text) = call.query_parameter("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| {
            Error::invalid(format!(
                "`limit`: expected a number from 1 to {MAX_LIMIT}, got `{}`",
                text.escape_debug()
            ))
        })
}

fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let moment = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{moment:.3}")
}
