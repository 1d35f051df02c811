//! Actions after a rollback.

use std::time::Duration;

/// Actions after a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRollback {
    /// The time for which the candidate stays loaded.
    pub keep_candidate_warm: Duration,
    /// The targets of the notification.
    pub notify: Vec<NotificationTarget>,
}

/// The target of a notification, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationTarget {
    /// A webhook that gets the status and the evidence.
    Webhook(String),
    /// An Alertmanager, which gets an alert.
    Alertmanager(String),
}

impl NotificationTarget {
    /// Returns the address as the user wrote it.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Webhook(address) | Self::Alertmanager(address) => address,
        }
    }
}
