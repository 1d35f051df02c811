//! Webhooks for Flagger, which asks whether it may go on and whether it must roll back.
//!
//! Rule: 200 is yes and 403 is no. The verdict of `Rollouts` alone decides; after a rollback,
//! failure or abort it is worse, whatever the scores were, so that no bad pods are promoted.
//! Flagger takes every status above 202 for a no, so mistakes keep their usual statuses, and the
//! log of Flagger shows what is wrong.

use std::sync::Arc;

use api::rollout::{FlaggerHook, RolloutVerdict, Verdict};
use axum::Router;
use axum::routing::post;
use contract::{Code, Error, Result};

use super::{Admin, handler, reply, rollouts};
use crate::context::Context;
use crate::rest::{Call, Reply};

/// Returns the routes of the webhooks.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let hook = |expected| {
        handler::<Admin, _, _>(ctx, move |ctx, call| async move {
            respond(&ctx, &call, expected)
        })
    };
    Router::new()
        .route("/api/hooks/flagger/confirm", post(hook(Verdict::NotWorse)))
        .route("/api/hooks/flagger/rollback", post(hook(Verdict::Worse)))
}

/// Replies yes when the verdict is the expected one; the body has the verdict either way.
fn respond(ctx: &Context, call: &Call, expected: Verdict) -> Result<Reply> {
    let hook: FlaggerHook = call.json()?;
    let id = hook.metadata.rollout.ok_or_else(|| {
        Error::invalid("`metadata.rollout` is missing; expected the name of a rollout")
    })?;
    let document = rollouts(ctx)?.verdict(&id)?;
    let verdict: RolloutVerdict = serde_json::from_str(document.as_str())
        .map_err(|error| Error::internal(format!("verdict has no value: {error}")))?;
    match verdict.verdict == expected {
        true => Ok(reply(&document)),
        false => Ok(reply(&document).with_code(Code::PermissionDenied)),
    }
}
