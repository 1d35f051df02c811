//! `GET /metrics`: what was observed, for a scraper.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::HeaderValue;

use crate::context::Context;
use crate::native::Native;
use crate::rest::{Reply, handler};

pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let metrics = handler::<Native, _, _>(ctx, |ctx, _call| async move {
        let exposition = ctx.observe.exposition();
        let content_type = HeaderValue::from_static(exposition.content_type);
        Ok(Reply::new(content_type, exposition.body))
    });
    Router::new().route("/metrics", get(metrics))
}
