//! Sentences about a pair of versions, the same on the page and in the terminal.

use api::comparison::{PairReport, VersionReport};
use api::rollout::Interval;

use crate::number::{points, probability, times};

/// Describes the files of a version, so that a report can still be told from another one years later.
pub fn content(version: &VersionReport) -> String {
    let hash = version.content_hash.as_deref();
    format!(
        "version {}: model file of {}, SHA-256 {}",
        version.version,
        version.created_at,
        hash.unwrap_or("unknown"),
    )
}

/// Describes the difference of the accuracies; `None` without labels.
pub fn accuracy(pair: &PairReport) -> Option<String> {
    let found = pair.labels.as_ref()?.accuracy_difference.as_ref()?;
    let Interval { lower, upper } = found.interval;
    Some(format!(
        "accuracy of version {} compared with version {}: {} percentage points (95 % interval {} \
         to {}), p = {} by McNemar's test",
        pair.other,
        pair.reference,
        points(found.difference),
        points(lower),
        points(upper),
        probability(found.p_value),
    ))
}

/// Describes the ratio of the latencies; `None` when no item was answered by both.
pub fn latency(pair: &PairReport) -> Option<String> {
    let ratio = pair.latency_ratio.as_ref()?;
    let interval = ratio.interval.map(|interval| {
        let (lower, upper) = (times(interval.lower), times(interval.upper));
        format!(" (95 % interval {lower} to {upper})")
    });
    Some(format!(
        "version {} takes {} times as long as version {}{}, the median over the items",
        pair.other,
        times(ratio.median),
        pair.reference,
        interval.unwrap_or_default(),
    ))
}
