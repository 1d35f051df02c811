//! `GET /metrics`: the exposition for a scraper.
//!
//! Decision: values that change without any event, such as the predicted wait, are read here, once
//! for each scrape, so that no request pays for them.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use contract::{Event, SchedulingReading, VersionState};
use http::HeaderValue;

use crate::context::Context;
use crate::native::Native;
use crate::rest::{Reply, handler};

pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let metrics = handler::<Native, _, _>(ctx, |ctx, _call| async move {
        report_scheduling(&ctx);
        let exposition = ctx.observe.exposition();
        let content_type = HeaderValue::from_static(exposition.content_type);
        Ok(Reply::new(content_type, exposition.body))
    });
    Router::new().route("/metrics", get(metrics))
}

/// Reports the scheduling state of the ready versions to the observer.
fn report_scheduling(ctx: &Context) {
    let models = ctx.catalog.models();
    let versions = models.iter().flat_map(|model| {
        let ready = model.versions.iter();
        ready
            .filter(|status| status.state == VersionState::Ready)
            .map(move |status| (model, status))
    });
    let readings: Vec<_> = versions
        .filter_map(|(model, status)| {
            Some(SchedulingReading {
                model: &model.name,
                version: &status.version,
                scheduling: status.scheduling.as_ref()?,
            })
        })
        .collect();
    ctx.observe.observe(&Event::SchedulingMeasured(&readings));
}
