//! Formats the evidence of a rollout in numbers for people.
//!
//! Decision: evidence is shown as its share of the limit at which it decides, because logarithms say
//! nothing to a reader; `--json` has them. A table fits in 80 columns.

use api::rollout::Verdict;
use api::rollout::{
    ArmReport, GuardReport, MetricAction, MetricReport, RolloutReport, ShadowReport,
};
use serde_json::Value;

use super::percent;
use crate::commands::table::table;

/// Formats all numbers with their limits.
pub(in super::super) fn evidence(report: &RolloutReport) -> String {
    let evidence = &report.evidence;
    let mut rows = table(&["metric", "stable", "candidate", "worse", "not worse"]);
    for metric in &evidence.metrics {
        rows.add_row([
            name(metric),
            arm(metric.arms.stable),
            arm(metric.arms.candidate),
            percent_of_limit(worse(metric)),
            not_worse(metric),
        ]);
    }
    let blocking = evidence.metrics.iter();
    let blocking = blocking.filter(|metric| metric.action == MetricAction::Block);
    let nearest = blocking.map(worse).fold(0.0, f64::max);
    let mut lines = vec![
        rows.to_string(),
        format!(
            "rolled back at 100 % of the evidence for \"worse\" in one metric: {} so far",
            percent_of_limit(nearest)
        ),
    ];
    let mismatch = share(evidence.srm.ln_e, evidence.srm.limit);
    lines.push(format!(
        "units that do not follow the weights: {} of the evidence for a hold",
        percent_of_limit(mismatch)
    ));
    let soak = report.soak.and_then(|soak| Some((soak.ln_d?, soak.limit)));
    lines.extend(soak.map(|(ln_d, limit)| {
        let reached = percent_of_limit(share(ln_d, limit));
        format!("soak: {reached} of the evidence for a rollback")
    }));
    lines.extend(report.shadow.as_ref().map(shadow));
    if !report.guards.is_empty() {
        let guards: Vec<_> = report.guards.iter().map(guard).collect();
        lines.push(format!("guards: {}", guards.join("\n        ")));
    }
    lines.join("\n")
}

/// Returns the name of a metric, with its action below unless that is `block`.
fn name(metric: &MetricReport) -> String {
    match metric.action {
        MetricAction::Block => metric.name.clone(),
        action @ (MetricAction::Hold | MetricAction::Report) => {
            format!("{}\n({action} only)", metric.name)
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
        (None, _) if n == 0 => return "none yet".to_owned(),
        (None, _) => return n.to_string(),
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

/// Returns the share of the limit of "worse" that a metric has reached, in the window in which it is
/// nearer.
fn worse(metric: &MetricReport) -> f64 {
    let start = share(metric.ln_worse_start, metric.ln_worse_start_limit);
    start.max(share(metric.ln_worse_step, metric.ln_worse_step_limit))
}

/// Returns the share of a limit that a score has reached, from 0 to 1. Scores are logarithms; a
/// negative one speaks for the opposite.
fn share(score: f64, limit: f64) -> f64 {
    (score / limit).clamp(0.0, 1.0)
}

fn percent_of_limit(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Formats the verdict of a metric, or what it needs for `not_worse`.
fn not_worse(metric: &MetricReport) -> String {
    match (metric.verdict, metric.action) {
        (Verdict::NotWorse, _) => "yes".to_owned(),
        (Verdict::Worse, _) => "no".to_owned(),
        (Verdict::Unknown, MetricAction::Block) => match metric.further_requests {
            Some(n) => format!("about {n} more\nrequests needed"),
            None => "unknown".to_owned(),
        },
        (Verdict::Unknown, MetricAction::Hold | MetricAction::Report) => {
            let distance = metric.distance;
            distance.map_or(String::new(), |distance| format!("distance {distance:.2}"))
        }
    }
}

fn shadow(shadow: &ShadowReport) -> String {
    let dropped: u64 = shadow.dropped.values().filter_map(Value::as_u64).sum();
    format!(
        "shadow requests: {} compared, {} differ, {dropped} dropped",
        shadow.pairs, shadow.differ
    )
}

fn guard(guard: &GuardReport) -> String {
    let GuardReport { name, count, limit } = guard;
    format!("{} {count} of {limit}", name.as_str())
}
