//! Notices: telling others that a rollout went back.
//!
//! Decision: letters are written when the rollout moves, kept in one write with the move, and posted
//! beside everything else, so that no way back waits for a receiver. What was not taken when the
//! process ends is posted by the next one; a receiver may get the same letter twice, and a kill
//! loses none.

mod notification;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use contract::{DeliveryOutcome, Error, Event, ModelName, Observe, RawJson, Result, Webhooks};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Dependencies;
use super::record::Records;
use rollout::config::rollback::NotificationTarget;
use rollout::state::{Rollout, Transition};

use notification::{Notification, NotificationContext};
use retry::backoff;

/// The format that is written.
const FORMAT: u32 = 1;

/// How long one attempt may take; as long as a gate has by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The letters about one rollout that nobody has taken yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    format: u32,
    #[serde(rename = "letters")]
    pending: Vec<Notification>,
}

impl Notifications {
    /// Letters to everybody who is to know that a rollout went back; `public_url` is where others
    /// reach this server.
    ///
    /// # Errors
    /// `internal` when one of them cannot be written.
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

    /// Whether nobody is left who has to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// It as text.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal(format!("notices cannot be written: {error}")))
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// `internal` when this version cannot read it.
    pub(super) fn read(text: &str) -> Result<Self> {
        let notifications: Self = serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("notices cannot be read: {error}")))?;
        match notifications.format {
            FORMAT => Ok(notifications),
            format => Err(Error::internal(format!(
                "the stored notices have format {format}, and this version reads {FORMAT}"
            ))),
        }
    }
}

/// Whether somebody could be told.
///
/// # Errors
/// `invalid_request` with what to write instead.
pub(super) fn check(notify: &NotificationTarget, webhooks: &dyn Webhooks) -> Result<()> {
    let address = notify.address();
    if !address.contains("://") {
        return Err(Error::invalid(format!(
            "`{}` is no address; write `{{webhook: \"https://ci.example/hook\"}}` or \
             `{{alertmanager: \"http://alertmanager:9093\"}}`",
            address.escape_debug()
        )));
    }
    webhooks.check(&notification::url(notify))
}

/// Posts letters. It holds nothing that keeps a server at work.
#[derive(Clone, Debug)]
pub(super) struct NotificationSender {
    records: Records,
    webhooks: Arc<dyn Webhooks>,
    observe: Arc<dyn Observe>,
}

impl NotificationSender {
    /// What posts letters with these tools.
    pub(super) fn new(dependencies: &Dependencies) -> Self {
        Self {
            records: dependencies.records.clone(),
            webhooks: Arc::clone(&dependencies.webhooks),
            observe: Arc::clone(&dependencies.observe),
        }
    }

    /// Posts letters about a rollout until each was taken or given up.
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
            // One that panicked stays open, for the next start.
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
                tracing::error!(rollout, diagnostic, "who was told of a rollout is not kept");
            }
        }
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Refused,
    GivenUp,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

/// Posts one letter until that is settled.
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
                tracing::info!(rollout, to, "told that a rollout went back");
                return (notification, Outcome::Delivered);
            }
            DeliveryOutcome::Refused(why) => {
                tracing::error!(rollout, to, why, "a notification is refused");
                return (notification, Outcome::Refused);
            }
            DeliveryOutcome::Failed(why) => match backoff(n_attempts, began.elapsed()) {
                Some(backoff) => {
                    let seconds = backoff.as_secs();
                    tracing::warn!(rollout, to, why, seconds, "a notification is tried again");
                    tokio::time::sleep(backoff).await;
                }
                None => {
                    tracing::error!(rollout, to, why, "a notification is given up");
                    return (notification, Outcome::GivenUp);
                }
            },
        }
    }
    unreachable!("the pauses end before the numbers do")
}

#[cfg(test)]
mod tests;
