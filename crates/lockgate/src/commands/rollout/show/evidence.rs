//! Formats the evidence of a rollout: every number with its limit.

use api::rollout::{
    ArmReport, DifferenceReport, GuardReport, MetricAction, MetricReport, RolloutReport,
    ShadowReport,
};
use serde_json::Value;

use super::percent;
use crate::commands::table::table;

/// Formats all numbers with their limits.
pub(in super::super) fn evidence(report: &RolloutReport) -> String {
    let evidence = &report.evidence;
    let limits = evidence.limits;
    let mut rows = table(&[
        "metric",
        "stable",
        "candidate",
        "worse, since start",
        "since step",
        "not worse",
        "verdict",
    ]);
    for metric in &evidence.metrics {
        rows.add_row([
            name(metric),
            arm(metric.arms.stable),
            arm(metric.arms.candidate),
            score(metric.ln_worse_start, limits.ln_worse_start),
            score(metric.ln_worse_step, limits.ln_worse_step),
            not_worse(metric),
            metric.verdict.to_string(),
        ]);
    }
    rows.add_row([
        "together".to_owned(),
        String::new(),
        String::new(),
        score(evidence.combined.ln_start, limits.ln_worse_start),
        score(evidence.combined.ln_step, limits.ln_worse_step),
        String::new(),
        String::new(),
    ]);
    let mut lines = vec![rows.to_string()];
    let split = score(evidence.srm.ln_e, evidence.srm.limit);
    lines.push(format!("split: ln E {split}"));
    let soak = report.soak.and_then(|soak| Some((soak.ln_d?, soak.limit)));
    lines.extend(soak.map(|(ln_d, limit)| format!("soak: ln D {}", score(ln_d, limit))));
    lines.extend(report.shadow.as_ref().map(shadow));
    if !report.guards.is_empty() {
        let guards: Vec<_> = report.guards.iter().map(guard).collect();
        lines.push(format!("guards: {}", guards.join(", ")));
    }
    lines.join("\n")
}

/// Returns the name of a metric, with its action unless that is `block`.
fn name(metric: &MetricReport) -> String {
    match metric.action {
        MetricAction::Block => metric.name.clone(),
        action @ (MetricAction::Hold | MetricAction::Report) => {
            format!("{} ({action})", metric.name)
        }
    }
}

/// Formats the rate of an arm, such as `0.5 % of 9000`, with the interval below.
fn arm(arm: Option<ArmReport>) -> String {
    let Some(ArmReport {
        n,
        events,
        value,
        ci,
    }) = arm
    else {
        return String::new();
    };
    // Without events the value is a mean, not a rate.
    let shown = match (value, events) {
        (None, _) => return format!("none of {n}"),
        (Some(value), Some(_)) => percent(value),
        (Some(value), None) => format!("{value:.4}"),
    };
    match ci {
        Some((lower, upper)) => {
            format!("{shown} of {n}\n{} to {}", percent(lower), percent(upper))
        }
        None => format!("{shown} of {n}"),
    }
}

/// Formats a score with its limit, such as `-2.35 of 7.60`; empty for the logarithm of 0.
fn score(score: f64, limit: f64) -> String {
    match score.is_finite() {
        true => format!("{score:.2} of {limit:.2}"),
        false => String::new(),
    }
}

/// Formats the evidence for `not_worse`: by ratio, by difference or by distance, each with its
/// limit.
fn not_worse(metric: &MetricReport) -> String {
    let ratio = metric.ln_not_worse.zip(metric.ln_not_worse_limit);
    let ratio = ratio.map(|(value, limit)| score(value, limit));
    let difference = |difference: DifferenceReport| {
        let DifferenceReport {
            upper,
            lower,
            limit,
            ..
        } = difference;
        format!("+{} of {}", percent(upper - lower), percent(limit))
    };
    let distance = metric.distance;
    let distance = distance.map(|distance| format!("distance {distance:.2}"));
    let all = [ratio, metric.abs.map(difference), distance];
    let all: Vec<_> = all.into_iter().flatten().collect();
    all.join("\n")
}

fn shadow(shadow: &ShadowReport) -> String {
    let dropped: u64 = shadow.dropped.values().filter_map(Value::as_u64).sum();
    format!(
        "shadow requests: {} compared, {} differ, {dropped} dropped",
        shadow.pairs, shadow.differ
    )
}

fn guard(guard: &GuardReport) -> String {
    format!("{} {} of {}", guard.name.as_str(), guard.count, guard.limit)
}
