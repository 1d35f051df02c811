//! `GET /metrics`: the exposition for a scraper.
//!
//! Decision: values that change without any event, such as the predicted wait, are read here, once
//! for each scrape, so that no request pays for them.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use contract::{Event, ExpositionFormat, SchedulingReading, VersionState};
use http::{HeaderMap, HeaderValue, header};

use crate::context::Context;
use crate::native::Native;
use crate::rest::{Reply, handler};

pub(super) fn routes(ctx: &Arc<Context>) -> Router {
    let metrics = handler::<Native, _, _>(ctx, |ctx, call| async move {
        report_scheduling(&ctx);
        let format = requested_format(&call.headers);
        let content_type = HeaderValue::from_static(format.content_type());
        Ok(Reply::new(content_type, ctx.observe.exposition(format)))
    });
    Router::new().route("/metrics", get(metrics))
}

/// Returns the format that a scraper asks for: OpenMetrics when it names that, and prefers nothing
/// else that we have.
fn requested_format(headers: &HeaderMap) -> ExpositionFormat {
    let open_metrics = quality(headers, "application/openmetrics-text");
    match open_metrics > 0.0 && open_metrics >= quality(headers, "text/plain") {
        true => ExpositionFormat::OpenMetrics,
        false => ExpositionFormat::Text,
    }
}

/// Returns the weight of a media type in `Accept` (RFC 9110, section 12.4.2), from 0 to 1; 0 when
/// it is not named.
fn quality(headers: &HeaderMap, media_type: &str) -> f32 {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values.filter_map(|value| value.to_str().ok());
    let weight = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next()?.eq_ignore_ascii_case(media_type);
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q="));
        is_named.then(|| weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
    };
    let weights = ranges.flat_map(|value| value.split(',')).filter_map(weight);
    weights.fold(0.0, f32::max)
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
