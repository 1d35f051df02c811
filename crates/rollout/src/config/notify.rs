//! Notifications of a rollout: to whom, and about which events.

use serde::{Deserialize, Serialize};

/// A target of notifications, and the events that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The path of its key, for errors.
    pub key: String,
    /// The target.
    pub target: NotificationTarget,
    /// The events.
    pub events: Vec<NotificationEvent>,
}

/// The target of a notification, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationTarget {
    /// A webhook that gets the status and the evidence.
    Webhook(String),
    /// An Alertmanager, which gets alerts.
    Alertmanager(String),
    /// A webhook of Slack, or of a chat with the same format.
    Slack(String),
}

contract::named_enum! {
    /// An event of a rollout that people want to know.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum NotificationEvent {
        /// The rollout was started.
        Started = "started",
        /// The candidate got another weight, or shadow requests.
        Step = "step",
        /// The weight is frozen, for another reason than a gate.
        Held = "held",
        /// The rollout waits for a gate.
        Gate = "gate",
        /// A hold or a gate is over.
        Resumed = "resumed",
        /// The candidate is the new stable version.
        Completed = "completed",
        /// Stable has all traffic again, because the candidate is worse.
        RolledBack = "rolled_back",
        /// An operator aborted the rollout.
        Aborted = "aborted",
        /// The candidate could not be loaded or warmed up.
        Failed = "failed",
    }
    /// Returns the name in files and messages.
    fn as_str
}

impl NotificationTarget {
    /// Returns the address as the user wrote it.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Webhook(address) | Self::Alertmanager(address) | Self::Slack(address) => address,
        }
    }

    /// Returns the events that the target can get: an alert is a state that needs a person, so the
    /// others are no alerts.
    #[must_use]
    pub fn possible_events(&self) -> &'static [NotificationEvent] {
        match self {
            Self::Webhook(_) | Self::Slack(_) => &NotificationEvent::ALL,
            Self::Alertmanager(_) => &NotificationEvent::ALERTS,
        }
    }
}

impl NotificationEvent {
    /// The events that are alerts.
    pub const ALERTS: [Self; 4] = [Self::Held, Self::Gate, Self::RolledBack, Self::Failed];

    /// Returns whether a target gets the event when the file does not say so. Steps are many, and
    /// follow from the file.
    #[must_use]
    pub fn is_default(self) -> bool {
        self != Self::Step
    }
}
