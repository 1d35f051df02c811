//! The routing rules of a model, with the results of its split.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{ArmResult, OutputCounts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::split::Traffic;

/// The routing rules in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Routing {
    /// The model.
    pub model: String,
    /// Grows with every change.
    pub generation: u64,
    /// The version that answers when none is named and no split applies.
    #[schema(required)]
    pub default: Option<String>,
    /// The pinned version.
    #[schema(required)]
    pub pinned: Option<String>,
    /// Versions by label.
    pub labels: BTreeMap<String, String>,
    /// The split, in the shape in which it is set.
    #[schema(required)]
    pub traffic: Option<Traffic>,
    /// The results of the arms since the last change of the split.
    pub results: Vec<ArmReport>,
    /// Every other arm, compared with the first.
    pub comparison: Vec<ArmComparison>,
    /// The check that the units follow the weights; if they do not, no comparison holds.
    #[schema(required)]
    pub sample_ratio: Option<SampleRatio>,
    /// Requests without a unit at the configured location.
    pub requests_without_unit: u64,
}

/// Counts of one arm without overridden requests and without errors of callers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmReport {
    /// The name of the arm.
    pub arm: String,
    /// The weight in force; a bandit changes it.
    #[schema(minimum = 0, maximum = 1)]
    pub weight: f64,
    /// Requests.
    pub requests: u64,
    /// Failed requests.
    pub errors: u64,
    /// Latencies in milliseconds; `null` before the first answer.
    pub latency_ms: LatencyQuantiles,
    /// Units; requests, when each request is a unit.
    pub units: u64,
    /// Rewards from the feedback so far.
    pub reward: Reward,
    /// The answers, counted by rows.
    #[schema(required)]
    pub outputs: Option<CountedOutputs>,
}

/// Quantiles of a latency in milliseconds; `null` before the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyQuantiles {
    /// The median.
    #[schema(required)]
    pub p50: Option<f64>,
    /// The 95th percentile.
    #[schema(required)]
    pub p95: Option<f64>,
    /// The 99th percentile.
    #[schema(required)]
    pub p99: Option<f64>,
}

/// Rewards from the feedback so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reward {
    /// The number of rewards.
    pub n: u64,
    /// Their mean; `null` without feedback.
    #[schema(required)]
    pub mean: Option<f64>,
}

/// Answered rows, counted by class or by bin of a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountedOutputs {
    /// `classes` are counted modulo 32; `scores` below 0, in tenths up to 1, above 1.
    pub kind: OutputKind,
    /// The counts.
    pub counts: Vec<u64>,
}

/// The kind of counted answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Classes.
    Classes,
    /// Bins of a score.
    Scores,
}

/// One arm compared with another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmComparison {
    /// The arm.
    pub arm: String,
    /// The arm that it is compared with.
    pub with: String,
    /// Its error rate minus that of the other; `null` while one of them has no requests.
    #[schema(required)]
    pub error_rate: Option<Difference>,
    /// Its mean reward minus that of the other; `null` while there is too little feedback.
    #[schema(required)]
    pub reward: Option<Difference>,
}

/// A difference with its interval; all of it is valid at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The measured difference.
    pub estimate: f64,
    /// Holds the true difference with probability 0.95.
    pub interval: [f64; 2],
    /// The probability of such a difference when there is none.
    #[schema(minimum = 0, maximum = 1)]
    pub p_value: f64,
    /// True when it is significant among all differences of the split.
    pub significant: bool,
}

/// The check that the units follow the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SampleRatio {
    /// Logarithm of the evidence that they do not.
    pub ln_bf: f64,
    /// The evidence from which on they do not.
    pub limit: f64,
    /// True when the limit is reached.
    pub is_mismatch: bool,
}

impl From<&ArmResult> for ArmReport {
    fn from(result: &ArmResult) -> Self {
        let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
        Self {
            arm: result.arm.clone(),
            weight: result.weight,
            requests: result.n_requests,
            errors: result.n_errors,
            latency_ms: LatencyQuantiles {
                p50: millis(result.p50),
                p95: millis(result.p95),
                p99: millis(result.p99),
            },
            units: result.n_units,
            reward: Reward {
                n: result.reward.n,
                mean: result.reward.mean,
            },
            outputs: counted_outputs(&result.outputs),
        }
    }
}

fn counted_outputs(outputs: &OutputCounts) -> Option<CountedOutputs> {
    let (kind, counts) = match outputs {
        OutputCounts::Nothing => return None,
        OutputCounts::Classes(counts) => (OutputKind::Classes, counts),
        OutputCounts::Scores(counts) => (OutputKind::Scores, counts),
    };
    Some(CountedOutputs {
        kind,
        counts: counts.clone(),
    })
}

impl From<&contract::Comparison> for ArmComparison {
    fn from(comparison: &contract::Comparison) -> Self {
        Self {
            arm: comparison.arm.clone(),
            with: comparison.with.clone(),
            error_rate: comparison.error_rate.map(Into::into),
            reward: comparison.reward.map(Into::into),
        }
    }
}

impl From<contract::Difference> for Difference {
    fn from(difference: contract::Difference) -> Self {
        Self {
            estimate: difference.estimate,
            interval: [difference.lower, difference.upper],
            p_value: difference.p_value,
            significant: difference.is_significant,
        }
    }
}

impl From<contract::SampleRatio> for SampleRatio {
    fn from(ratio: contract::SampleRatio) -> Self {
        Self {
            ln_bf: ratio.ln_bf,
            limit: ratio.limit,
            is_mismatch: ratio.is_mismatch,
        }
    }
}
