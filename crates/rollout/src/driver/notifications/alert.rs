//! Alerts for Alertmanager.
//!
//! Decision: an alert is a state that needs a person: a hold, a closed gate, a rollback, a failure.
//! It has an end far ahead, so that it lasts longer than the `resolve_timeout` of Alertmanager
//! without being repeated, and it is resolved when its state is over: a hold when it ends, a
//! rollback or a failure when the next rollout of the model starts. Labels are the same from one
//! attempt to the next and in the resolution, because Alertmanager identifies an alert by them.

use std::time::Duration;

use contract::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::documents::document;
use super::Notification;
use crate::config::notify::{NotificationEvent, NotificationTarget};
use crate::state::{HoldReason, Phase, Rollout};
use crate::timestamp::Timestamp;

/// Path at which Alertmanager accepts alerts.
const ALERTS: &str = "/api/v2/alerts";

/// Time after which an alert ends that was never resolved: whoever has not seen to it in a week
/// never will, and a server that is gone resolves nothing.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// One alert, in the format of Alertmanager.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    labels: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Alert {
    /// Creates an alert that starts now.
    pub(super) fn firing(
        labels: Value,
        annotations: Value,
        at: Timestamp,
        generator_url: Option<String>,
    ) -> Self {
        Self {
            labels,
            annotations: Some(annotations),
            starts_at: Some(at.to_string()),
            ends_at: (at + MAX_DURATION).to_string(),
            generator_url,
        }
    }

    /// Creates the end of the alert with these labels.
    pub(super) fn resolved(labels: Value, at: Timestamp) -> Self {
        Self {
            labels,
            annotations: None,
            starts_at: None,
            ends_at: at.to_string(),
            generator_url: None,
        }
    }
}

/// The alert of a rollout that has ended, until it is resolved.
#[derive(Clone, Debug)]
pub(in crate::driver) struct OpenAlert {
    url: String,
    labels: Value,
}

impl OpenAlert {
    /// Returns the alerts that the end of a rollout has left, one for each Alertmanager.
    pub(in crate::driver) fn of_ended(rollout: &Rollout) -> Vec<Self> {
        let progress = rollout.progress();
        let ends = [
            (Phase::RolledBack, NotificationEvent::RolledBack),
            (Phase::Failed, NotificationEvent::Failed),
        ];
        let end = ends.into_iter().find(|(phase, _)| *phase == progress.phase);
        let Some((_, event)) = end else {
            return Vec::new();
        };
        let reason = progress.last_reason.as_ref();
        let labels = labels(rollout, event, reason.map_or("", |reason| reason.label()));
        let targets = rollout.config().notify.iter();
        let notified = targets.filter(|notify| notify.events.contains(&event));
        let alerts = notified.filter_map(|notify| match &notify.target {
            NotificationTarget::Alertmanager(address) => Some(Self {
                url: url(address),
                labels: labels.clone(),
            }),
            NotificationTarget::Webhook(_) | NotificationTarget::Slack(_) => None,
        });
        alerts.collect()
    }

    /// Creates the notification that resolves the alert.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(in crate::driver) fn resolution(&self, at: Timestamp) -> Result<Notification> {
        let message = document(&[Alert::resolved(self.labels.clone(), at)])?;
        Ok(Notification {
            url: self.url.clone(),
            message: message.as_str().to_owned(),
        })
    }
}

/// Returns the event of a hold.
pub(super) fn event_of_hold(reason: HoldReason) -> NotificationEvent {
    match reason == HoldReason::Gate {
        true => NotificationEvent::Gate,
        false => NotificationEvent::Held,
    }
}

/// Returns the labels of an alert.
pub(super) fn labels(rollout: &Rollout, event: NotificationEvent, reason: &str) -> Value {
    let config = rollout.config();
    let name = match event {
        NotificationEvent::RolledBack => "LockgateRollback",
        NotificationEvent::Failed => "LockgateRolloutFailed",
        NotificationEvent::Held
        | NotificationEvent::Gate
        | NotificationEvent::Started
        | NotificationEvent::Step
        | NotificationEvent::Resumed
        | NotificationEvent::Completed
        | NotificationEvent::Aborted => "LockgateRolloutHeld",
    };
    json!({
        "alertname": name,
        "model": config.model.as_str(),
        "rollout": config.id,
        "candidate": config.candidate.to_string(),
        "stable": config.stable.to_string(),
        "reason": reason,
    })
}

/// Returns the address at which an Alertmanager accepts alerts.
pub(super) fn url(address: &str) -> String {
    let base = address.trim_end_matches('/');
    let base = base.strip_suffix(ALERTS).unwrap_or(base);
    format!("{base}{ALERTS}")
}
