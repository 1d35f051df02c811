//! What happens after a rollback.

use std::time::Duration;

/// What happens after a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRollback {
    /// How long the candidate stays loaded.
    pub keep_candidate_warm: Duration,
    /// Who is told.
    pub notify: Vec<NotificationTarget>,
}

/// Somebody who is told, by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationTarget {
    /// A program that reads the status and the evidence.
    Webhook(String),
    /// An Alertmanager, which takes alerts.
    Alertmanager(String),
}

impl NotificationTarget {
    /// Where it is, as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Webhook(address) | Self::Alertmanager(address) => address,
        }
    }
}
