//! What decides between the versions of a model, as the routes of operators show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Error, ModelName, Result, Version};
use serde::Serialize;

use super::model;
use super::traffic::TrafficBody;
use crate::context::Context;
use crate::rest::{Call, Reply};

#[derive(Serialize)]
struct RoutingReply<'a> {
    model: &'a str,
    /// Grows with every change.
    generation: u64,
    /// The version that answers when none is named and no split decides.
    default: Option<&'a str>,
    pinned: Option<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    /// In the shape in which it is set.
    traffic: Option<TrafficBody>,
}

/// Answers `GET .../traffic`.
pub(super) async fn show(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    reply(&ctx, &model(&call)?)
}

/// What decides now.
pub(super) fn reply(ctx: &Context, model: &ModelName) -> Result<Reply> {
    let status = ctx.control.model(model)?;
    let routing = &status.routing;
    let labels = routing.labels.iter();
    let reply = RoutingReply {
        model: model.as_str(),
        generation: routing.generation,
        default: status.latest().map(|latest| latest.version.as_str()),
        pinned: routing.pinned.as_ref().map(Version::as_str),
        labels: labels
            .map(|(label, version)| (label.as_str(), version.as_str()))
            .collect(),
        traffic: routing.split.as_ref().map(TrafficBody::from),
    };
    let json = serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Reply::json(json))
}
