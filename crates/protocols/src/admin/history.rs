//! `GET /api/models/{model}/history`: the changes to a model with their actors, the newest first.

use std::sync::Arc;

use api::history::History;
use contract::{Error, Result};

use crate::context::Context;
use crate::rest::{Call, Reply};

/// Lines that are returned without `limit`.
const DEFAULT_LIMIT: usize = 20;

/// The most lines of one reply.
const MAX_LIMIT: usize = 1000;

/// Handles `GET .../history`.
pub(super) async fn show(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let model = call.required_model()?;
    let entries = ctx.traffic.history(&model, limit(&call)?).await?;
    Reply::serialized(&History {
        model: model.to_string(),
        history: entries.iter().map(Into::into).collect(),
    })
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
