//! What decides between the versions of a model, as the routes of operators show it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{ArmResult, Error, ModelName, Result, Version};
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
    /// What the arms have answered since the split was set.
    results: Vec<ArmReply<'a>>,
    /// A split that looks in the wrong place shows here.
    requests_without_unit: u64,
}

#[derive(Serialize)]
struct ArmReply<'a> {
    arm: &'a str,
    requests: u64,
    errors: u64,
    latency_ms: Latency,
}

/// Quantiles; `null` before the first answer.
#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl<'a> ArmReply<'a> {
    fn new(result: &'a ArmResult) -> Self {
        let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
        Self {
            arm: &result.arm,
            requests: result.n_requests,
            errors: result.n_errors,
            latency_ms: Latency {
                p50: millis(result.p50),
                p95: millis(result.p95),
                p99: millis(result.p99),
            },
        }
    }
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
        requests_without_unit: routing.n_without_unit,
        traffic: routing.split.as_ref().map(TrafficBody::from),
        results: routing.results.iter().map(ArmReply::new).collect(),
    };
    let json = serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Reply::json(json))
}
