//! What servers say to each other that share a rollout: the leader tells, its followers count.
//!
//! Decision: they use the same port and the same words as everybody else, so that there is nothing
//! to open between them. Counts decide about traffic, so they need the same right as an act.

use std::str;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use contract::{Error, RawJson, Result};

use super::super::{Admin, path};
use super::{id, reply, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply, handler};

/// The routes between servers.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    Router::new()
        .route(
            "/api/rollouts/following",
            get(handler::<Admin, _, _>(ctx, following)),
        )
        .route(
            "/api/rollouts/{rollout}/replicas/{replica}",
            post(handler::<Admin, _, _>(ctx, count)),
        )
}

/// Answers `GET /api/rollouts/following`.
async fn following(ctx: Arc<Context>, _call: Call) -> Result<Reply> {
    Ok(reply(&rollouts(&ctx)?.leader_state()?))
}

/// Answers `POST /api/rollouts/{rollout}/replicas/{replica}`.
async fn count(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let counts = str::from_utf8(&call.body);
    let counts = counts.map_err(|_| Error::invalid("the body is not UTF-8; it is JSON"))?;
    let (rollout, replica) = (id(&call)?, path(&call, "replica")?);
    let counted =
        rollouts(&ctx)?.record_replica_counts(&rollout, &replica, &RawJson::new(counts))?;
    Ok(reply(&counted))
}
