//! Notifications about a rollout: its start, and the transitions that people want to know.
//!
//! Decision: notifications are created with the transition, persisted in one write with it, and
//! sent concurrently, so that no rollback waits for a receiver. Those undelivered when the process
//! ends are sent by the next one; a receiver may get a notification twice, and a kill loses none.

mod alert;
mod message;
mod occasion;

use contract::{Error, Result, Webhooks};
use serde::{Deserialize, Serialize};

use crate::config::notify::NotificationTarget;

pub(super) use alert::OpenAlert;
pub(super) use occasion::Occasion;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// One notification. It contains everything that sending needs, so that it is the same after a
/// restart, whatever the rollout file says then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notification {
    /// Address to which it is posted.
    pub(super) url: String,
    /// Body, as JSON.
    pub(super) message: String,
}

impl Notification {
    /// Returns the address without the path, which may be a secret that must not be logged.
    pub(super) fn host(&self) -> String {
        let parts: Vec<_> = self.url.split(['/', '?']).take(3).collect();
        parts.join("/")
    }
}

/// The undelivered notifications of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    format: u32,
    #[serde(alias = "letters")]
    pub(super) pending: Vec<Notification>,
}

impl Notifications {
    /// Creates a list that was not stored yet.
    pub(super) fn new(pending: Vec<Notification>) -> Self {
        Self {
            format: FORMAT,
            pending,
        }
    }

    /// Returns whether all notifications were delivered or given up.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns the notifications as JSON.
    ///
    /// # Errors
    /// `internal` when they cannot be serialized.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal(format!("failed to write notifications: {error}")))
    }

    /// Parses stored notifications.
    ///
    /// # Errors
    /// `internal` when this version of the server cannot read them.
    pub(super) fn read(text: &str) -> Result<Self> {
        let notifications: Self = serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("failed to read notifications: {error}")))?;
        match notifications.format {
            FORMAT => Ok(notifications),
            format => Err(Error::internal(format!(
                "stored notifications have format {format}, but this version reads {FORMAT}"
            ))),
        }
    }
}

/// Returns the address to which the notification for a target is posted.
fn url(target: &NotificationTarget) -> String {
    match target {
        NotificationTarget::Webhook(url) | NotificationTarget::Slack(url) => url.clone(),
        NotificationTarget::Alertmanager(url) => alert::url(url),
    }
}

/// Checks that a notification target has a usable address.
///
/// # Errors
/// `invalid_request` with an example of a valid address.
pub(super) fn check(target: &NotificationTarget, webhooks: &dyn Webhooks) -> Result<()> {
    let address = target.address();
    if !address.contains("://") {
        return Err(Error::invalid(format!(
            "`{}` is not an address; write `{{webhook: \"https://ci.example/hook\"}}`, \
             `{{slack: \"https://hooks.slack.com/services/...\"}}` or \
             `{{alertmanager: \"http://alertmanager:9093\"}}`",
            address.escape_debug()
        )));
    }
    webhooks.check(&url(target))
}

#[cfg(test)]
pub(super) mod tests;
