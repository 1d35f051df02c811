//! Bodies of notifications.

use api::rollout::{ArmReport, MetricReport, Report, RolloutReport, Status};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::notify::NotificationEvent;

/// Body of the request to a webhook.
#[derive(Serialize)]
pub(super) struct WebhookMessage {
    /// The event.
    pub(super) event: NotificationEvent,
    /// The event in a sentence.
    pub(super) summary: String,
    /// The status.
    #[serde(flatten)]
    pub(super) status: Status,
    /// All numbers with their limits.
    pub(super) evidence: RolloutReport,
}

/// Returns the body for Slack, which chats with the same format read too.
pub(super) fn slack_message(summary: &str, link: Option<&str>) -> Value {
    let escaped = summary
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    match link {
        Some(link) => json!({"text": format!("{escaped} <{link}|status>")}),
        None => json!({"text": escaped}),
    }
}

/// Summarizes the evidence of each metric on one line.
pub(super) fn evidence_summary(report: &Report) -> String {
    let metric = |metric: &MetricReport| {
        let arms = metric.arms;
        let arms = [("stable", arms.stable), ("candidate", arms.candidate)];
        let arms = arms.into_iter();
        let arms: String = arms
            .filter_map(|(name, arm)| Some(format!("{name} {}, ", arm_summary(arm?))))
            .collect();
        format!(
            "{}: {arms}ln_worse_start {:.2} of {:.2}, ln_worse_step {:.2} of {:.2}",
            metric.name,
            metric.ln_worse_start,
            metric.ln_worse_start_limit,
            metric.ln_worse_step,
            metric.ln_worse_step_limit,
        )
    };
    let metrics: Vec<_> = report.metrics.iter().map(metric).collect();
    metrics.join("; ")
}

fn arm_summary(arm: ArmReport) -> String {
    let n = arm.n;
    match (arm.events, arm.value) {
        (Some(events), _) => format!("{events} of {n}"),
        (None, Some(value)) => format!("{value:.4} over {n}"),
        (None, None) => format!("{n}"),
    }
}
