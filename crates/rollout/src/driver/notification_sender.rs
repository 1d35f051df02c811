//! Delivery of notifications, with retries.

mod retry;

use std::sync::Arc;
use std::time::Duration;

use contract::{DeliveryOutcome, Event, ModelName, Observe, RawJson, Webhooks};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Dependencies;
use super::notifications::{Notification, Notifications};
use super::record::Records;

use retry::backoff;

/// Time limit of one attempt; the same as the default of a gate.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sender of notifications. It holds nothing that keeps a server running.
#[derive(Clone, Debug)]
pub(super) struct NotificationSender {
    records: Records,
    webhooks: Arc<dyn Webhooks>,
    observe: Arc<dyn Observe>,
}

impl NotificationSender {
    /// Creates a sender with these dependencies.
    pub(super) fn new(dependencies: &Dependencies) -> Self {
        Self {
            records: dependencies.records.clone(),
            webhooks: Arc::clone(&dependencies.webhooks),
            observe: Arc::clone(&dependencies.observe),
        }
    }

    /// Sends the notifications of a rollout until each is delivered, refused or failed.
    pub(super) async fn deliver(
        self,
        rollout: String,
        model: ModelName,
        notifications: Notifications,
    ) {
        let mut undelivered = notifications;
        let mut deliveries = JoinSet::new();
        for notification in &undelivered.pending {
            let webhooks = Arc::clone(&self.webhooks);
            deliveries.spawn(send_with_retries(
                webhooks,
                rollout.clone(),
                notification.clone(),
            ));
        }
        while let Some(ended) = deliveries.join_next().await {
            // One whose delivery panicked stays pending until the next start.
            let Ok((notification, outcome)) = ended else {
                continue;
            };
            self.observe.observe(&Event::RolloutNotified {
                model: &model,
                outcome: outcome.as_str(),
            });
            undelivered.pending.retain(|other| *other != notification);
            if let Err(error) = self
                .records
                .persist_notifications(&rollout, &undelivered)
                .await
            {
                let diagnostic = error.diagnostic();
                tracing::error!(rollout, diagnostic, "failed to persist notifications");
            }
        }
    }
}

/// Outcome of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Refused,
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Sends one notification until it is delivered or refused, or no attempt is left.
async fn send_with_retries(
    webhooks: Arc<dyn Webhooks>,
    rollout: String,
    notification: Notification,
) -> (Notification, Outcome) {
    let (began, to) = (Instant::now(), notification.host());
    let message = RawJson::new(&notification.message);
    for n_attempts in 1.. {
        match webhooks.notify(&notification.url, &message, TIMEOUT).await {
            DeliveryOutcome::Delivered => {
                tracing::info!(rollout, to, "sent rollback notification");
                return (notification, Outcome::Delivered);
            }
            DeliveryOutcome::Refused(why) => {
                tracing::error!(rollout, to, why, "rollback notification was refused");
                return (notification, Outcome::Refused);
            }
            DeliveryOutcome::Failed(why) => match backoff(n_attempts, began.elapsed()) {
                Some(backoff) => {
                    let seconds = backoff.as_secs();
                    tracing::warn!(rollout, to, why, seconds, "retrying rollback notification");
                    tokio::time::sleep(backoff).await;
                }
                None => {
                    tracing::error!(rollout, to, why, "gave up rollback notification");
                    return (notification, Outcome::Failed);
                }
            },
        }
    }
    unreachable!("the pauses end before the numbers do")
}

#[cfg(test)]
mod tests;
