//! Notifications about a rollback.
//!
//! Decision: notifications are created with the transition, persisted in one write with it, and
//! sent concurrently, so that no rollback waits for a receiver. Those undelivered when the process
//! ends are sent by the next one; a receiver may get a notification twice, and a kill loses none.

mod notification;

use contract::{Error, Result, Webhooks};
use serde::{Deserialize, Serialize};

use crate::config::rollback::NotificationTarget;
use crate::state::{Rollout, Transition};

pub(super) use notification::Notification;

use notification::NotificationContext;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// The undelivered notifications of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    format: u32,
    #[serde(alias = "letters")]
    pub(super) pending: Vec<Notification>,
}

impl Notifications {
    /// Creates the notifications about a rollback, one for each target of the rollout file;
    /// `public_url` is the address at which others reach this server.
    ///
    /// # Errors
    /// `internal` when one of them cannot be serialized.
    pub(super) fn new(
        rollout: &Rollout,
        transition: &Transition,
        public_url: Option<&str>,
    ) -> Result<Self> {
        let context = NotificationContext {
            rollout,
            transition,
            public_url,
        };
        let notified = rollout.config().on_rollback.notify.iter();
        let pending = notified.map(|notify| context.notification_for(notify));
        Ok(Self {
            format: FORMAT,
            pending: pending.collect::<Result<_>>()?,
        })
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

/// Checks that a notification target has a usable address.
///
/// # Errors
/// `invalid_request` with an example of a valid address.
pub(super) fn check(notify: &NotificationTarget, webhooks: &dyn Webhooks) -> Result<()> {
    let address = notify.address();
    if !address.contains("://") {
        return Err(Error::invalid(format!(
            "`{}` is not an address; write `{{webhook: \"https://ci.example/hook\"}}` or \
             `{{alertmanager: \"http://alertmanager:9093\"}}`",
            address.escape_debug()
        )));
    }
    webhooks.check(&notification::url(notify))
}

#[cfg(test)]
pub(super) mod tests;
