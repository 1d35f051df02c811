//! The evidence of a rollout with its limits.
//!
//! Decision: every number stands beside the limit that it is held against, because a verdict that
//! cannot be followed is not trusted. Scores are natural logarithms; the logarithm of 0 is `null`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{GuardKind, Verdict};

/// All numbers of a rollout with their limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutEvidence)]
pub struct RolloutReport {
    /// The evidence.
    #[serde(flatten)]
    pub evidence: Report,
    /// The watch with all of the traffic, once it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub soak: Option<SoakReport>,
    /// The guards that have a limit.
    pub guards: Vec<GuardReport>,
    /// The results of shadow requests, where the rollout has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub shadow: Option<ShadowReport>,
}

/// The evidence about the metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricsEvidence)]
pub struct Report {
    /// Each metric.
    pub metrics: Vec<MetricReport>,
    /// The check that the units follow the weights.
    pub srm: MismatchReport,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricEvidence)]
pub struct MetricReport {
    /// The name of the metric.
    pub name: String,
    /// The action that it may cause.
    pub action: MetricAction,
    /// The verdict by this metric alone.
    pub verdict: Verdict,
    /// ln E of "worse", since the start.
    #[serde(deserialize_with = "logarithm")]
    #[schema(required, value_type = Option<f64>)]
    pub ln_worse_start: f64,
    /// The limit of `ln_worse_start`: each blocking metric has its share of alpha.
    pub ln_worse_start_limit: f64,
    /// ln E of "worse", since the last change of weight.
    #[serde(deserialize_with = "logarithm")]
    #[schema(required, value_type = Option<f64>)]
    pub ln_worse_step: f64,
    /// The limit of `ln_worse_step`.
    pub ln_worse_step_limit: f64,
    /// ln N of "not worse by the ratio", when there is a ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ln_not_worse: Option<f64>,
    /// The limit of `ln_not_worse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ln_not_worse_limit: Option<f64>,
    /// About the number of requests to the candidate, or of shadow requests, that the metric still
    /// needs for "not worse", if the rates stay as they are; left out when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub further_requests: Option<u64>,
    /// The difference of rates, when it has a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub abs: Option<DifferenceReport>,
    /// The distance of the outputs, when bins are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub distance: Option<f64>,
    /// The effect on the mean, when rewards are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub effect: Option<Interval>,
    /// Stable and candidate.
    pub arms: ArmsReport,
}

/// The action that a metric may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricAction {
    /// Roll back; without its verdict nothing is promoted.
    Block,
    /// Hold only.
    Hold,
    /// Report only.
    Report,
}

impl fmt::Display for MetricAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Both arms of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricArms)]
pub struct ArmsReport {
    /// The version that served before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stable: Option<ArmReport>,
    /// The version on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub candidate: Option<ArmReport>,
}

/// One arm of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricArm)]
pub struct ArmReport {
    /// Requests, pairs or rewards.
    pub n: u64,
    /// Events among them; left out for rewards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events: Option<u64>,
    /// The rate or the mean; `null` without data.
    #[schema(required)]
    pub value: Option<f64>,
    /// The interval of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ci: Option<(f64, f64)>,
}

/// Two ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl From<stats::Interval> for Interval {
    fn from(interval: stats::Interval) -> Self {
        Self {
            lower: interval.lower,
            upper: interval.upper,
        }
    }
}

/// The difference of two rates beside its limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RateDifference)]
pub struct DifferenceReport {
    /// The upper end of the candidate's rate.
    pub upper: f64,
    /// The lower end of stable's rate.
    pub lower: f64,
    /// The limit of the upper end minus the lower.
    pub limit: f64,
    /// True when the difference is within its limit.
    pub ok: bool,
}

/// The evidence for a sample-ratio mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SampleRatioEvidence)]
pub struct MismatchReport {
    /// The natural logarithm of the Bayes factor.
    pub ln_e: f64,
    /// The value of `ln_e` from which on there is a mismatch.
    pub limit: f64,
}

/// The watch with all of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SoakEvidence)]
pub struct SoakReport {
    /// ln D; `null` when no metric can be watched.
    #[schema(required)]
    pub ln_d: Option<f64>,
    /// The value of `ln_d` from which on the rollout is rolled back.
    pub limit: f64,
}

/// One guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GuardEvidence)]
pub struct GuardReport {
    /// The name of the guard.
    pub name: GuardKind,
    /// The count or measurement.
    pub count: f64,
    /// The value from which on the rollout is rolled back.
    pub limit: f64,
}

/// The results of shadow requests, which both versions ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ShadowEvidence)]
pub struct ShadowReport {
    /// Requests that both ran.
    pub pairs: u64,
    /// Pairs whose answers agree.
    pub agree: u64,
    /// Pairs whose answers differ.
    pub differ: u64,
    /// Requests that only stable failed to answer.
    pub stable_failed_alone: u64,
    /// Requests that only the candidate failed to answer.
    pub candidate_failed_alone: u64,
    /// Pairs in which stable alone was slow.
    pub stable_slower: u64,
    /// Pairs in which the candidate alone was slow.
    pub candidate_slower: u64,
    /// Shadow requests that were not run, by reason.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub dropped: Map<String, Value>,
}

/// Reads a logarithm; that of 0 is `null`.
fn logarithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let logarithm = Option::deserialize(deserializer)?;
    Ok(logarithm.unwrap_or(f64::NEG_INFINITY))
}
