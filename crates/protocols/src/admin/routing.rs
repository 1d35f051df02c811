//! The routing rules of a model, as the routes of operators show them.

use std::sync::Arc;

use api::routing::Routing;
use api::split::Traffic;
use contract::{ModelName, Result};

use crate::context::Context;
use crate::rest::{Call, Reply};

/// Handles `GET .../traffic`.
pub(super) async fn show(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    reply(&ctx, &call.required_model()?)
}

/// Replies with the routing rules in force.
pub(super) fn reply(ctx: &Context, model: &ModelName) -> Result<Reply> {
    let status = ctx.catalog.model(model)?;
    let routing = &status.routing;
    let labels = routing.labels.iter();
    Reply::serialized(&Routing {
        model: model.to_string(),
        generation: routing.generation,
        default: status.latest().map(|latest| latest.version.to_string()),
        pinned: routing.pinned.as_ref().map(ToString::to_string),
        labels: labels
            .map(|(label, version)| (label.clone(), version.to_string()))
            .collect(),
        traffic: routing.split.as_ref().map(Traffic::from),
        results: routing.results.iter().map(Into::into).collect(),
        comparison: routing.comparison.iter().map(Into::into).collect(),
        sample_ratio: routing.sample_ratio.map(Into::into),
        requests_without_unit: routing.n_without_unit,
    })
}
