//! Metrics of a rollout: what is compared, and by which rule.

use api::rollout::MetricAction;
use serde::Deserialize;
use stats::arm_totals::Span;

/// A metric that is compared between the versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name in reports.
    pub name: String,
    /// The counted event and its comparison.
    pub kind: MetricKind,
    /// The action that the metric may cause.
    pub action: MetricAction,
    /// The metric weight in the combined evidence.
    pub weight: f64,
}

/// The counted event and its comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// A share of the requests, arm against arm.
    Share(ShareRule),
    /// The rate of shadow pairs whose answers differ.
    ShadowDiffers {
        /// The largest acceptable rate of differing pairs.
        max_rate: f64,
    },
    /// The distribution of classes or of bins of a score.
    OutputBins {
        /// The largest acceptable distance between the arms.
        tolerance: f64,
    },
    /// The mean of rewards that are sent later.
    Feedback {
        /// The direction that is better.
        direction: Direction,
    },
}

/// The comparison of the event rates of both arms.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareRule {
    /// The counted event.
    pub event: ShareEvent,
    /// The ratio of the rates up to which the candidate is not worse: it has the event at most this
    /// many times as often as stable.
    pub worse_than: f64,
    /// The difference of the rates up to which the candidate is not worse; 0 for none.
    pub worse_difference: f64,
    /// The ratio of the rates that the non-inferiority test rules out.
    pub not_worse_ratio: Option<f64>,
    /// The difference of rates that the non-inferiority test rules out.
    pub not_worse_difference: Option<f64>,
}

/// An event that a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareEvent {
    /// The request failed, and not because of the caller.
    Error,
    /// The request was slower than this percentile of stable, frozen at the start.
    LatencyOver {
        /// The percentile of stable, from 1 to 99.
        percentile: u8,
        /// The part of the request that is timed.
        span: Span,
    },
}

/// The direction in which a reward is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    #[default]
    Increase,
    /// Less is better.
    Decrease,
}
