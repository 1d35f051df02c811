//! Records of the deciding server, written to the shared store.
//!
//! Rule: each write is one decision, made from the one before it. After the first that fails,
//! nothing is written any more: whether it arrived is unknown, so the task that made it ends, and
//! the next one begins from the stored record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::{Decision, Error, Result, SharedRollouts};
use tokio::sync::Notify;

use super::Record;

/// The revision after which nothing may be written.
const FAILED: u64 = u64::MAX;

/// The decisions of one task.
#[derive(Debug)]
pub(in super::super) struct Commits {
    store: Arc<dyn SharedRollouts>,
    /// The name under which this server holds the lease.
    holder: Arc<str>,
    /// Wakes the exchange of this server after a decision.
    wake: Arc<Notify>,
    /// The revision of the last decision; [`FAILED`] after one that failed.
    revision: AtomicU64,
}

impl Commits {
    /// Creates the decisions of a task that begins from the record of this revision.
    pub(in super::super) fn after(
        revision: u64,
        store: Arc<dyn SharedRollouts>,
        holder: Arc<str>,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            store,
            holder,
            wake,
            revision: AtomicU64::new(revision),
        }
    }

    /// Stores a record with its new transitions.
    ///
    /// # Errors
    /// Those of `SharedRollouts::commit`; from the first on, every call fails.
    pub(super) async fn commit(
        &self,
        id: &str,
        record: &Record,
        transitions: &[String],
    ) -> Result<()> {
        let text = record.to_text()?;
        let revision = self.revision.swap(FAILED, Ordering::Relaxed);
        if revision == FAILED {
            return Err(Error::internal("an earlier decision was not stored"));
        }
        let decision = Decision {
            holder: &self.holder,
            revision: revision + 1,
            record: &text,
            counted: record.n_counted,
            transitions,
            has_ended: record.progress.phase.is_final(),
        };
        self.store.commit(id, decision).await?;
        self.revision.store(revision + 1, Ordering::Relaxed);
        // This server applies the decision at once.
        self.wake.notify_one();
        Ok(())
    }
}
