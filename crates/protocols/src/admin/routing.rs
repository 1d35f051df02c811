//! The routing rules of a model, as the routes of operators show them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::split::Traffic;
use contract::{
    ArmResult, Comparison, Difference, Error, ModelName, OutputCounts, Result, SampleRatio, Version,
};
use serde::Serialize;

use crate::context::Context;
use crate::rest::{Call, Reply};

#[derive(Serialize)]
struct RoutingReply<'a> {
    model: &'a str,
    /// Grows with every change.
    generation: u64,
    /// The version that answers when none is named and no split applies.
    default: Option<&'a str>,
    pinned: Option<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    /// The split, in the shape in which it is set.
    traffic: Option<Traffic>,
    /// The results of the arms since the split was set.
    results: Vec<ArmReply<'a>>,
    /// Every other arm, compared with the first.
    comparison: Vec<ComparisonReply<'a>>,
    /// The check that the units follow the weights.
    sample_ratio: Option<SampleRatioReply>,
    /// A split that looks for the unit in the wrong place shows here.
    requests_without_unit: u64,
}

#[derive(Serialize)]
struct ArmReply<'a> {
    arm: &'a str,
    /// The weight in force, unlike that in `traffic`, when a bandit changes it.
    weight: f64,
    requests: u64,
    errors: u64,
    latency_ms: Latency,
    units: u64,
    reward: RewardReply,
    outputs: Option<OutputsReply<'a>>,
}

#[derive(Serialize)]
struct RewardReply {
    n: u64,
    mean: Option<f64>,
}

/// Counts by class, or by bin of a score.
#[derive(Serialize)]
struct OutputsReply<'a> {
    kind: &'static str,
    counts: &'a [u64],
}

#[derive(Serialize)]
struct ComparisonReply<'a> {
    arm: &'a str,
    with: &'a str,
    error_rate: Option<DifferenceReply>,
    reward: Option<DifferenceReply>,
}

#[derive(Serialize)]
struct DifferenceReply {
    estimate: f64,
    interval: [f64; 2],
    p_value: f64,
    significant: bool,
}

#[derive(Serialize)]
struct SampleRatioReply {
    ln_bf: f64,
    limit: f64,
    is_off: bool,
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
            weight: result.weight,
            requests: result.n_requests,
            errors: result.n_errors,
            latency_ms: Latency {
                p50: millis(result.p50),
                p95: millis(result.p95),
                p99: millis(result.p99),
            },
            units: result.n_units,
            reward: RewardReply {
                n: result.reward.n,
                mean: result.reward.mean,
            },
            outputs: outputs(&result.outputs),
        }
    }
}

fn outputs(outputs: &OutputCounts) -> Option<OutputsReply<'_>> {
    let (kind, counts) = match outputs {
        OutputCounts::Nothing => return None,
        OutputCounts::Classes(counts) => ("classes", counts),
        OutputCounts::Scores(counts) => ("scores", counts),
    };
    Some(OutputsReply { kind, counts })
}

impl<'a> From<&'a Comparison> for ComparisonReply<'a> {
    fn from(comparison: &'a Comparison) -> Self {
        Self {
            arm: &comparison.arm,
            with: &comparison.with,
            error_rate: comparison.error_rate.map(DifferenceReply::from),
            reward: comparison.reward.map(DifferenceReply::from),
        }
    }
}

impl From<Difference> for DifferenceReply {
    fn from(difference: Difference) -> Self {
        Self {
            estimate: difference.estimate,
            interval: [difference.lower, difference.upper],
            p_value: difference.p_value,
            significant: difference.is_significant,
        }
    }
}

impl From<SampleRatio> for SampleRatioReply {
    fn from(ratio: SampleRatio) -> Self {
        Self {
            ln_bf: ratio.ln_bf,
            limit: ratio.limit,
            is_off: ratio.is_mismatch,
        }
    }
}

/// Handles `GET .../traffic`.
pub(super) async fn show(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    reply(&ctx, &call.required_model()?)
}

/// Replies with the routing rules in force.
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
        traffic: routing.split.as_ref().map(Traffic::from),
        results: routing.results.iter().map(ArmReply::new).collect(),
        comparison: routing.comparison.iter().map(Into::into).collect(),
        sample_ratio: routing.sample_ratio.map(Into::into),
    };
    let json = serde_json::to_vec(&reply).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Reply::json(json))
}
