//! The message and address of one rollback notification.
//!
//! Decision: a notification contains everything that sending needs, so that it is the same after a
//! restart, whatever the rollout file says then. The labels of an alert do not change from one
//! attempt to the next, because Alertmanager identifies an alert by its labels.

use api::rollout::{ArmReport, MetricReport, Report, RolloutReport, Status};
use contract::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::documents::document;
use crate::config::rollback::NotificationTarget;
use crate::state::{Rollout, Transition};

/// Path at which Alertmanager accepts alerts.
const ALERTS: &str = "/api/v2/alerts";

/// One notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::driver) struct Notification {
    /// Address to which it is posted.
    pub(in crate::driver) url: String,
    /// Body, as JSON.
    pub(in crate::driver) message: String,
}

impl Notification {
    /// Returns the address without the path, which may be a secret that must not be logged.
    pub(in crate::driver) fn host(&self) -> String {
        let parts: Vec<_> = self.url.split(['/', '?']).take(3).collect();
        parts.join("/")
    }
}

/// Values shared by all notifications about one transition.
#[derive(Debug)]
pub(super) struct NotificationContext<'a> {
    /// The rollout, after the transition.
    pub(super) rollout: &'a Rollout,
    /// The transition.
    pub(super) transition: &'a Transition,
    /// Address at which others reach this server.
    pub(super) public_url: Option<&'a str>,
}

/// Body of the request to a webhook.
#[derive(Serialize)]
struct WebhookMessage {
    #[serde(flatten)]
    status: Status,
    evidence: RolloutReport,
}

/// One alert, in the format of Alertmanager.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Value,
    annotations: Value,
    starts_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl NotificationContext<'_> {
    /// Creates the notification for one target.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(super) fn notification_for(&self, notify: &NotificationTarget) -> Result<Notification> {
        let message = match notify {
            NotificationTarget::Webhook(_) => document(&WebhookMessage {
                status: self.rollout.status(),
                evidence: self.rollout.report(),
            })?,
            NotificationTarget::Alertmanager(_) => document(&self.alerts())?,
        };
        Ok(Notification {
            url: url(notify),
            message: message.as_str().to_owned(),
        })
    }

    fn alerts(&self) -> [Alert; 1] {
        let (config, transition) = (self.rollout.config(), self.transition);
        let (id, model) = (&config.id, config.model.as_str());
        let [stable, candidate] = [&config.stable, &config.candidate].map(ToString::to_string);
        let reason = transition.reason.to_string();
        let summary = format!(
            "{model}: rollout {id} was rolled back from version {candidate} to {stable}: {reason}"
        );
        [Alert {
            labels: json!({
                "alertname": "LockgateRollback",
                "model": model,
                "rollout": id,
                "candidate": candidate,
                "stable": stable,
                "reason": transition.reason.label(),
            }),
            annotations: json!({
                "summary": summary,
                "actor": transition.actor,
                "evidence": evidence_summary(&transition.evidence.report(config)),
            }),
            starts_at: transition.at.to_string(),
            generator_url: self
                .public_url
                .map(|url| format!("{url}/api/rollouts/{id}")),
        }]
    }
}

/// Returns the address to which the notification for a target is posted.
pub(super) fn url(notify: &NotificationTarget) -> String {
    match notify {
        NotificationTarget::Webhook(url) => url.clone(),
        NotificationTarget::Alertmanager(url) => {
            let base = url.trim_end_matches('/');
            let base = base.strip_suffix(ALERTS).unwrap_or(base);
            format!("{base}{ALERTS}")
        }
    }
}

/// Summarizes the evidence of each metric on one line.
fn evidence_summary(report: &Report) -> String {
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
