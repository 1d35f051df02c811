//! Hooks for Flagger: it asks whether it may go on, and whether it must go back.
//!
//! Rule: 200 is yes and 403 is no. The verdict of `Rollouts` decides alone; after a rollback, failure
//! or abort it is worse, whatever the scores were, so that no bad pods are promoted. Flagger takes every status above 202 for a no, so mistakes keep
//! the statuses that they have elsewhere, and tell in its log what is wrong.

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

/// The value of a candidate that is worse, and of every rollout that did not reach its end.
const WORSE: i8 = -1;

/// What Flagger sends, as far as it is needed.
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

/// The part of a verdict that decides.
#[derive(Deserialize)]
struct Verdict {
    value: i8,
}

/// The hooks.
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

/// Yes when the verdict is the wanted one; the verdict is told either way.
fn respond(ctx: &Context, call: &Call, expected: i8) -> Result<Reply> {
    let hook: HookBody = call.json()?;
    let id = hook.metadata.rollout.ok_or_else(|| {
        Error::invalid("`metadata.rollout` is missing; it is the name of a rollout of this server")
    })?;
    let document = rollouts(ctx)?.verdict(&id)?;
    let verdict: Verdict = serde_json::from_str(document.as_str())
        .map_err(|error| Error::internal(format!("a verdict without value: {error}")))?;
    match verdict.value == expected {
        true => Ok(reply(&document)),
        false => Ok(reply(&document).with_code(Code::PermissionDenied)),
    }
}
