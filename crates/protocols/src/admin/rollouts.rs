//! Routes that start, show and control rollouts.
//!
//! Decision: the state of a rollout is sent as the document that its owner has made. Only the
//! verdict is parsed, for tools that understand nothing but a status.

mod events;
mod hooks;
mod simulate;

use std::str;
use std::sync::Arc;

use api::rollout::{ActionBody, RolloutVerdict, Verdict};
use axum::Router;
use axum::routing::{get, post};
use contract::{ActionKind, Code, Error, OperatorAction, RawJson, Result, Rollouts};

use super::{Admin, actor, history, path};
use crate::context::Context;
use crate::rest::{Call, Reply, handler};

/// Room for some sentences; more would only fill the history.
const MAX_REASON_BYTES: usize = 1000;

/// All routes of rollouts.
pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let rollout = |rest: &str| format!("/api/rollouts/{{rollout}}{rest}");
    let simulator = simulate::Simulator::default();
    let routes = Router::new()
        .route(
            "/api/rollouts",
            get(handler::<Admin, _, _>(ctx, list)).post(handler::<Admin, _, _>(ctx, start)),
        )
        .route(
            "/api/rollouts:simulate",
            post(handler::<Admin, _, _>(ctx, move |ctx, call| {
                simulator.clone().simulate(ctx, call)
            })),
        )
        .route(&rollout(""), get(handler::<Admin, _, _>(ctx, status)))
        .route(
            &rollout("/evidence"),
            get(handler::<Admin, _, _>(ctx, evidence)),
        )
        .route(
            &rollout("/transitions"),
            get(handler::<Admin, _, _>(ctx, transitions)),
        )
        .route(
            &rollout("/verdict"),
            get(handler::<Admin, _, _>(ctx, verdict)),
        )
        .route(
            &rollout("/events"),
            get(handler::<Admin, _, _>(ctx, events::follow)),
        )
        .route(
            "/api/experiments/assign",
            get(handler::<Admin, _, _>(ctx, assign)),
        )
        .merge(hooks::routes(ctx));
    ActionKind::ALL.into_iter().fold(routes, |routes, kind| {
        let path = rollout(&format!("/{}", kind.as_str()));
        let action = handler::<Admin, _, _>(ctx, move |ctx, call| apply_action(ctx, call, kind));
        routes.route(&path, post(action))
    })
}

/// Handles `POST /api/rollouts`.
async fn start(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let file = str::from_utf8(&call.body)
        .map_err(|_| Error::invalid("the body is not UTF-8; it is a rollout file, YAML or JSON"))?;
    let started = rollouts(&ctx)?.start(file, actor(&call)).await?;
    Ok(reply(&started).created())
}

/// Handles `GET /api/rollouts`.
async fn list(ctx: Arc<Context>, _call: Call) -> Result<Reply> {
    Ok(reply(&rollouts(&ctx)?.list()))
}

/// Handles `GET /api/rollouts/{rollout}`.
async fn status(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    Ok(reply(&rollouts(&ctx)?.status(&id(&call)?)?))
}

/// Handles `GET /api/rollouts/{rollout}/evidence`.
async fn evidence(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    Ok(reply(&rollouts(&ctx)?.evidence(&id(&call)?)?))
}

/// Handles `GET /api/rollouts/{rollout}/transitions`.
async fn transitions(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let limit = history::limit(&call)?;
    let transitions = rollouts(&ctx)?.transitions(&id(&call)?, limit).await?;
    Ok(reply(&transitions))
}

/// Handles `GET /api/rollouts/{rollout}/verdict`. The status is always 200: its callers take every
/// other status for a failure of the candidate.
async fn verdict(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let verdict = id(&call).and_then(|id| rollouts(&ctx)?.verdict(&id));
    match verdict {
        Ok(verdict) => Ok(reply(&verdict)),
        Err(error) => Reply::serialized(&RolloutVerdict {
            verdict: Verdict::Unknown,
            value: Verdict::Unknown.value(),
            state: None,
            reason: Some(error.message().to_owned()),
        }),
    }
}

/// Handles `POST /api/rollouts/{rollout}/promote` and the other operator actions.
async fn apply_action(ctx: Arc<Context>, call: Call, kind: ActionKind) -> Result<Reply> {
    ctx.check_control()?;
    let ActionBody { reason, generation } = match call.body.is_empty() {
        true => ActionBody::default(),
        false => call.json()?,
    };
    if reason.len() > MAX_REASON_BYTES {
        return Err(Error::invalid(format!(
            "`reason`: expected at most {MAX_REASON_BYTES} bytes, got {}",
            reason.len()
        )));
    }
    let action = OperatorAction {
        kind,
        actor: actor(&call).to_owned(),
        reason,
        generation,
    };
    let after = rollouts(&ctx)?.apply_action(&id(&call)?, action).await?;
    Ok(reply(&after))
}

/// Handles `GET /api/experiments/assign`.
async fn assign(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    let parameter = |name: &str| {
        let value = call.query_parameter(name);
        value.ok_or_else(|| {
            Error::invalid(format!(
                "the query has no `{name}`; expected `?rollout=ID&unit=UNIT`"
            ))
        })
    };
    let (rollout, unit) = (parameter("rollout")?, parameter("unit")?);
    Ok(reply(&rollouts(&ctx)?.assign(&rollout, &unit)?))
}

fn rollouts(ctx: &Context) -> Result<&dyn Rollouts> {
    let rollouts = ctx.rollouts.as_deref();
    rollouts.ok_or_else(|| Error::new(Code::Unsupported, "rollouts are not available here"))
}

fn id(call: &Call) -> Result<String> {
    path(call, "rollout")
}

fn reply(document: &RawJson) -> Reply {
    Reply::json(document.as_str().to_owned())
}

#[cfg(test)]
mod tests;
