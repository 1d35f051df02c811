//! Webhooks for Flagger, which asks whether it may go on and whether it must roll back.
//!
//! Rule: 200 is yes and 403 is no. The verdict of `Rollouts` alone decides; after a rollback,
//! failure or abort it is worse, whatever the scores were, so that no bad pods are promoted.
//! Flagger takes every status above 202 for a no, so mistakes keep their usual statuses, and the
//! log of Flagger shows what is wrong.

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use contract::{Code, Error, Result};
use serde::Deserialize;

use super::{Admin, handler, reply, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// The value of a candidate that is not worse.
const NOT_WORSE: i8 = 1;

/// The value of a candidate that is worse, and of every rollout that did not complete.
const WORSE: i8 = -1;

/// The part of Flagger's request that is used.
#[derive(Deserialize)]
struct HookBody {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "expected an object with `rollout`")]
struct Metadata {
    rollout: Option<String>,
}

/// The deciding part of a verdict.
#[derive(Deserialize)]
struct Verdict {
    value: i8,
}

/// Returns the routes of the webhooks.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let hook = |expected| {
        handler::<Admin, _, _>(ctx, move |ctx, call| async move {
            respond(&ctx, &call, expected)
        })
    };
    Router::new()
        .route("/api/hooks/flagger/confirm", post(hook(NOT_WORSE)))
        .route("/api/hooks/flagger/rollback", post(hook(WORSE)))
}

/// Replies yes when the verdict is the expected one; the body has the verdict either way.
fn respond(ctx: &Context, call: &Call, expected: i8) -> Result<Reply> {
    let hook: HookBody = call.json()?;
    let id = hook.metadata.rollout.ok_or_else(|| {
        Error::invalid("`metadata.rollout` is missing; expected the name of a rollout")
    })?;
    let document = rollouts(ctx)?.verdict(&id)?;
    let verdict: Verdict = serde_json::from_str(document.as_str())
        .map_err(|error| Error::internal(format!("verdict has no value: {error}")))?;
    match verdict.value == expected {
        true => Ok(reply(&document)),
        false => Ok(reply(&document).with_code(Code::PermissionDenied)),
    }
}
