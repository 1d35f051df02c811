//! Messages between servers that share a rollout: the leader publishes its state, followers send
//! counts.
//!
//! Decision: they use the same port and the same JSON as other callers, so that no other port has
//! to be opened between them. Counts decide about traffic, so they need the same permission as an
//! operator action.

use std::str;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use contract::{Error, RawJson, Result};

use super::super::{Admin, path};
use super::{id, reply, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply, handler};

/// Returns the routes between servers.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    Router::new()
        .route(
            "/api/rollouts/leader",
            get(handler::<Admin, _, _>(ctx, leader_state)),
        )
        .route(
            "/api/rollouts/{rollout}/replicas/{replica}",
            post(handler::<Admin, _, _>(ctx, count)),
        )
}

/// Handles `GET /api/rollouts/leader`.
async fn leader_state(ctx: Arc<Context>, _call: Call) -> Result<Reply> {
    Ok(reply(&rollouts(&ctx)?.leader_state()?))
}

/// Handles `POST /api/rollouts/{rollout}/replicas/{replica}`.
async fn count(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let counts = str::from_utf8(&call.body);
    let counts = counts.map_err(|_| Error::invalid("the body is not UTF-8; it is JSON"))?;
    let (rollout, replica) = (id(&call)?, path(&call, "replica")?);
    let counted =
        rollouts(&ctx)?.record_replica_counts(&rollout, &replica, &RawJson::new(counts))?;
    Ok(reply(&counted))
}
