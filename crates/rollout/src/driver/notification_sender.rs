//! Delivery of notifications, with retries.
//!
//! Decision: one queue for all rollouts of the server, and one task for each address that has
//! something in it. So a receiver gets its messages in the order in which they were made, which
//! the end of an alert needs, and one that does not answer delays no other.

mod retry;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{DeliveryOutcome, Event, ModelName, Observe, RawJson, Result, Webhooks};
use tokio::time::Instant;

use super::Dependencies;
use super::epoch_units::JournalChange;
use super::notifications::{Notification, Notifications};
use super::record::{Record, Records};

use retry::backoff;

/// Time limit of one attempt; the same as the default of a gate.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sender of notifications. It holds nothing that keeps a server running.
#[derive(Debug)]
pub(super) struct NotificationSender {
    records: Records,
    webhooks: Arc<dyn Webhooks>,
    observe: Arc<dyn Observe>,
    queue: Mutex<Queue>,
    /// Held while undelivered notifications are written, so that no write overtakes a later one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    next_id: u64,
    /// The addresses that have a task.
    busy: BTreeSet<String>,
}

/// A notification that is not delivered yet.
#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    rollout: String,
    model: ModelName,
    notification: Notification,
    queued: Instant,
}

impl NotificationSender {
    /// Creates a sender with these dependencies.
    pub(super) fn new(dependencies: &Dependencies) -> Arc<Self> {
        Arc::new(Self {
            records: dependencies.records.clone(),
            webhooks: Arc::clone(&dependencies.webhooks),
            observe: Arc::clone(&dependencies.observe),
            queue: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// Persists a rollout with its new transitions, counted units and notifications in one write, and
    /// then sends the notifications.
    ///
    /// # Errors
    /// `internal` when the store cannot be written; then nothing is sent.
    pub(super) async fn persist(
        self: &Arc<Self>,
        (rollout, model): (&str, &ModelName),
        record: &Record,
        transitions: Vec<String>,
        units: Option<JournalChange>,
        new: &[Notification],
    ) -> Result<()> {
        if new.is_empty() {
            return self
                .records
                .persist(rollout, record, transitions, units, None)
                .await;
        }
        let _writing = self.writing.lock().await;
        let mut pending = self.pending(rollout);
        pending.extend_from_slice(new);
        let undelivered = Notifications::new(pending);
        let records = &self.records;
        records
            .persist(rollout, record, transitions, units, Some(&undelivered))
            .await?;
        self.send((rollout, model), new.to_vec());
        Ok(())
    }

    /// Sends notifications of a rollout until each is delivered, refused or given up.
    pub(super) fn send(
        self: &Arc<Self>,
        owner: (&str, &ModelName),
        notifications: Vec<Notification>,
    ) {
        for url in self.enqueue(owner, notifications) {
            tokio::spawn(Arc::clone(self).deliver_to(url));
        }
    }

    /// Queues notifications; returns the addresses that need a task.
    fn enqueue(
        &self,
        (rollout, model): (&str, &ModelName),
        notifications: Vec<Notification>,
    ) -> Vec<String> {
        let mut queue = self.queue();
        let mut idle = Vec::new();
        for notification in notifications {
            if queue.busy.insert(notification.url.clone()) {
                idle.push(notification.url.clone());
            }
            let id = queue.next_id;
            queue.next_id += 1;
            queue.entries.push_back(Entry {
                id,
                rollout: rollout.to_owned(),
                model: model.clone(),
                notification,
                queued: Instant::now(),
            });
        }
        idle
    }

    /// Delivers what is queued for an address, the oldest first.
    async fn deliver_to(self: Arc<Self>, url: String) {
        while let Some(entry) = self.next_for(&url) {
            let outcome = self.send_with_retries(&entry).await;
            self.observe.observe(&Event::RolloutNotified {
                model: &entry.model,
                outcome: outcome.as_str(),
            });
            self.remove(&entry).await;
        }
    }

    /// Returns the oldest notification for an address; without one, its task has ended.
    fn next_for(&self, url: &str) -> Option<Entry> {
        let mut queue = self.queue();
        let mut entries = queue.entries.iter();
        let next = entries.find(|entry| entry.notification.url == url).cloned();
        if next.is_none() {
            queue.busy.remove(url);
        }
        next
    }

    async fn remove(&self, ended: &Entry) {
        let _writing = self.writing.lock().await;
        self.queue().entries.retain(|entry| entry.id != ended.id);
        let rollout = ended.rollout.as_str();
        let undelivered = Notifications::new(self.pending(rollout));
        let written = self.records.persist_notifications(rollout, &undelivered);
        if let Err(error) = written.await {
            let diagnostic = error.diagnostic();
            tracing::error!(rollout, diagnostic, "failed to persist notifications");
        }
    }

    fn pending(&self, rollout: &str) -> Vec<Notification> {
        let queue = self.queue();
        let entries = queue.entries.iter();
        let pending = entries.filter(|entry| entry.rollout == rollout);
        pending.map(|entry| entry.notification.clone()).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one notification until it is delivered or refused, or no attempt is left.
    async fn send_with_retries(&self, entry: &Entry) -> Outcome {
        let (rollout, to) = (&entry.rollout, entry.notification.host());
        let message = RawJson::new(&entry.notification.message);
        let url = &entry.notification.url;
        for n_attempts in 1.. {
            match self.webhooks.notify(url, &message, TIMEOUT).await {
                DeliveryOutcome::Delivered => {
                    tracing::info!(rollout, to, "sent rollout notification");
                    return Outcome::Delivered;
                }
                DeliveryOutcome::Refused(why) => {
                    tracing::error!(rollout, to, why, "rollout notification was refused");
                    return Outcome::Refused;
                }
                DeliveryOutcome::Failed(why) => match backoff(n_attempts, entry.queued.elapsed()) {
                    Some(backoff) => {
                        let seconds = backoff.as_secs();
                        tracing::warn!(rollout, to, why, seconds, "retrying rollout notification");
                        tokio::time::sleep(backoff).await;
                    }
                    None => {
                        tracing::error!(rollout, to, why, "gave up rollout notification");
                        return Outcome::Failed;
                    }
                },
            }
        }
        unreachable!("the pauses end before the numbers do")
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

#[cfg(test)]
mod tests;
