//! The routes of operators, under `/api`: versions, labels, splits and their history, rollouts, and
//! the comparison of versions.
//!
//! Decision: they have a JSON format of their own and the errors of the simple API. Reads are
//! always allowed; changes are refused unless model control is on.

mod change;
mod compare;
mod history;
mod rollouts;
mod routing;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};
use contract::{Error, RequestId, Result};

use crate::context::Context;
use crate::rest::{Call, Dialect, handler, native_error};

/// The header by which a caller names itself for the history.
const ACTOR: &str = "x-lockgate-actor";

/// The actor of a caller that sends no name.
const UNNAMED: &str = "api";

/// Longer names would only fill the history.
const MAX_ACTOR_BYTES: usize = 64;

/// The errors of this dialect.
#[derive(Debug)]
pub(crate) struct Admin;

impl Dialect for Admin {
    const NAME: &'static str = "admin";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        native_error(error, id)
    }
}

/// All routes under `/api`.
pub(crate) fn routes(ctx: &Arc<Context>) -> Router {
    let model = |rest: &str| format!("/api/models/{{model}}{rest}");
    Router::new()
        .route(
            &model("/traffic"),
            get(handler::<Admin, _, _>(ctx, routing::show))
                .put(handler::<Admin, _, _>(ctx, change::split))
                .delete(handler::<Admin, _, _>(ctx, change::unsplit)),
        )
        .route(
            &model("/labels/{label}"),
            put(handler::<Admin, _, _>(ctx, change::label))
                .delete(handler::<Admin, _, _>(ctx, change::unlabel)),
        )
        .route(
            &model("/default"),
            put(handler::<Admin, _, _>(ctx, change::pin))
                .delete(handler::<Admin, _, _>(ctx, change::unpin)),
        )
        .route(
            &model("/versions/{version}/load"),
            post(handler::<Admin, _, _>(ctx, change::load)),
        )
        .route(
            &model("/versions/{version}/unload"),
            post(handler::<Admin, _, _>(ctx, change::unload)),
        )
        .route(
            &model("/rollback"),
            post(handler::<Admin, _, _>(ctx, change::roll_back)),
        )
        .route(
            &model("/history"),
            get(handler::<Admin, _, _>(ctx, history::show)),
        )
        .route(
            "/api/compare",
            post(handler::<Admin, _, _>(ctx, compare::compare)),
        )
        .merge(rollouts::routes(ctx))
}

/// Returns a parameter of the path.
fn path(call: &Call, name: &str) -> Result<String> {
    let value = call.path_parameter(name).map(str::to_owned);
    value.ok_or_else(|| Error::internal(format!("route has no path parameter `{name}`")))
}

/// Returns the actor of a change.
fn actor(call: &Call) -> &str {
    let value = call
        .headers
        .get(ACTOR)
        .and_then(|value| value.to_str().ok());
    value
        .filter(|text| (1..=MAX_ACTOR_BYTES).contains(&text.len()))
        .unwrap_or(UNNAMED)
}

#[cfg(test)]
mod tests;
