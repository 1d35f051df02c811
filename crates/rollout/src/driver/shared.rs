//! Rollouts that several servers share through a store.
//!
//! Inputs: once per block, the stored record of each rollout. Rule: every server applies the traffic
//! of the record and adds its counts to the store; the server that holds the lease of a rollout also
//! runs its task, whose counts are those of all servers and whose record is the stored one. So one
//! server decides, and every server does the same. Cold start: the traffic of the last record that
//! this server applied, or stable. Recovery: while the store is away weights stay and counts are
//! kept; a task whose decision cannot be stored ends, and the next one begins from the stored
//! record, with the counts that it did not use. Rejected: one server named by the settings of the
//! others, which nobody replaces when it is lost.

mod actions;
mod applied;
mod candidate;
mod counts;
mod decider;
mod outbox;
mod replica_rollout;
mod traffic;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use contract::{Code, Error, Event, Result, SharedRollout, SharedRollouts};
use tokio::sync::{Mutex, Notify};
use tokio::time::{MissedTickBehavior, interval};

use super::Dependencies;
use super::handles::Handles;
use super::task::Clock;
use crate::timestamp::Timestamp;

pub(super) use applied::AppliedRollout;
use replica_rollout::ReplicaRollout;

/// The lease of a rollout in blocks: a server that is killed is replaced after as many.
const LEASE_BLOCKS: u32 = 5;

/// The store that rollouts are shared through, and the identity of this server in it.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    pub(super) store: Arc<dyn SharedRollouts>,
    /// The name of this process; a new one for every process, because its counts begin at zero.
    pub(super) replica: Arc<str>,
    pub(super) dependencies: Arc<Dependencies>,
    /// Wakes the exchange before its next block.
    pub(super) wake: Arc<Notify>,
}

impl Sharing {
    /// Returns the time for which a lease is asked for.
    fn lease_time(&self) -> Duration {
        self.dependencies.block * LEASE_BLOCKS
    }
}

/// The exchange of this server with the shared store.
#[derive(Debug)]
pub(super) struct Exchange {
    sharing: Sharing,
    handles: Arc<Handles>,
    rollouts: Mutex<ReplicaRollouts>,
    /// The time since which the store is unreachable.
    away_since: ArcSwapOption<Timestamp>,
}

/// The shared rollouts on this server by id.
#[derive(Debug, Default)]
struct ReplicaRollouts {
    rollouts: BTreeMap<String, ReplicaRollout>,
    /// The last error by rollout, so that it is logged once.
    last_errors: BTreeMap<String, String>,
    /// Set when the server is stopping, so that it decides nothing any more.
    has_left: bool,
}

impl Exchange {
    /// Creates an exchange that resumes the rollouts that this server applied before a restart.
    ///
    /// # Errors
    /// When the traffic of one of them cannot be created.
    pub(super) fn new(
        store: Arc<dyn SharedRollouts>,
        dependencies: &Arc<Dependencies>,
        handles: &Arc<Handles>,
        applied: Vec<AppliedRollout>,
    ) -> Result<Self> {
        let sharing = Sharing {
            store,
            replica: random_name().into(),
            dependencies: Arc::clone(dependencies),
            wake: Arc::default(),
        };
        let mut rollouts = ReplicaRollouts::default();
        for applied in applied {
            let rollout = ReplicaRollout::resume(sharing.clone(), applied)?;
            handles.insert(rollout.id(), rollout.handle());
            rollouts.rollouts.insert(rollout.id().to_owned(), rollout);
        }
        Ok(Self {
            sharing,
            handles: Arc::clone(handles),
            rollouts: Mutex::new(rollouts),
            away_since: ArcSwapOption::empty(),
        })
    }

    /// Returns the shared store.
    pub(super) fn store(&self) -> &dyn SharedRollouts {
        &*self.sharing.store
    }

    /// Returns the time since which the store is unreachable.
    pub(super) fn away_since(&self) -> Option<Timestamp> {
        self.away_since.load().as_deref().copied()
    }

    /// Runs an exchange soon.
    pub(super) fn wake(&self) {
        self.sharing.wake.notify_one();
    }

    /// Exchanges once per block, for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        let mut blocks = interval(self.sharing.dependencies.block);
        blocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = blocks.tick() => {}
                () = self.sharing.wake.notified() => {}
            }
            self.exchange().await;
        }
    }

    /// Applies the stored rollouts, and adds the counts of this server.
    pub(super) async fn exchange(&self) {
        let mut rollouts = self.rollouts.lock().await;
        if rollouts.has_left {
            return;
        }
        let exchanged = rollouts.exchange(&self.sharing, &self.handles).await;
        if let Err(error) = &exchanged {
            let known = rollouts.rollouts.values_mut();
            known.for_each(|rollout| rollout.refuse_actions(error));
        }
        self.record_reachability(&exchanged);
    }

    /// Adds the last counts, and lets another server decide at once.
    pub(super) async fn leave(&self) {
        let mut rollouts = self.rollouts.lock().await;
        rollouts.has_left = true;
        for rollout in rollouts.rollouts.values_mut() {
            if let Err(error) = rollout.leave().await {
                let diagnostic = error.diagnostic();
                tracing::warn!(rollout = rollout.id(), %error, diagnostic, "failed to release rollout");
            }
        }
    }

    /// Logs and reports when the store goes away and when it returns.
    fn record_reachability(&self, exchanged: &Result<()>) {
        let was_away = self.away_since.load().is_some();
        match exchanged {
            Err(error) if !was_away => {
                let diagnostic = error.diagnostic();
                tracing::warn!(%error, diagnostic, "shared state unreachable; keeping weights");
                self.away_since.store(Some(Arc::new(Clock::start().now())));
            }
            Ok(()) if was_away => {
                tracing::info!("shared state reachable again");
                self.away_since.store(None);
            }
            Ok(()) | Err(_) => {}
        }
        let is_reachable = exchanged.is_ok();
        let observe = &self.sharing.dependencies.observe;
        observe.observe(&Event::SharedStateChecked { is_reachable });
    }
}

impl ReplicaRollouts {
    async fn exchange(&mut self, sharing: &Sharing, handles: &Handles) -> Result<()> {
        let stored = sharing.store.list().await?;
        let is_listed = |id: &String| stored.iter().any(|rollout| rollout.id == *id);
        let known = self.rollouts.keys().filter(|id| !is_listed(id));
        // These come first: another rollout of the same model may follow them.
        for id in known.cloned().collect::<Vec<_>>() {
            let exchanged = self.exchange_unlisted(sharing, &id).await;
            self.record_result(&id, exchanged)?;
        }
        for rollout in &stored {
            let exchanged = self.exchange_one(sharing, handles, rollout).await;
            self.record_result(&rollout.id, exchanged)?;
        }
        Ok(())
    }

    /// Finishes a rollout that is not the last one of its model, or that the store has lost.
    async fn exchange_unlisted(&mut self, sharing: &Sharing, id: &str) -> Result<()> {
        let rollout = self.rollouts.get_mut(id);
        let Some(rollout) = rollout.filter(|rollout| !rollout.has_finished()) else {
            return Ok(());
        };
        match sharing.store.record(id).await? {
            Some(record) => rollout.exchange(record.revision).await,
            None => rollout.abandon().await,
        }
    }

    async fn exchange_one(
        &mut self,
        sharing: &Sharing,
        handles: &Handles,
        stored: &SharedRollout,
    ) -> Result<()> {
        let known = self.rollouts.get_mut(&stored.id);
        if let Some(rollout) = known.filter(|rollout| !rollout.was_replaced(stored)) {
            return rollout.exchange(stored.revision).await;
        }
        let Some(record) = sharing.store.record(&stored.id).await? else {
            return Ok(());
        };
        let mut rollout = ReplicaRollout::new(sharing.clone(), &record)?;
        handles.insert(rollout.id(), rollout.handle());
        let exchanged = rollout.exchange(record.revision).await;
        self.rollouts.insert(stored.id.clone(), rollout);
        exchanged
    }

    /// Logs a new error of a rollout; returns it when the store is away.
    fn record_result(&mut self, rollout: &str, result: Result<()>) -> Result<()> {
        let Err(error) = result else {
            self.last_errors.remove(rollout);
            return Ok(());
        };
        if error.code() == Code::Unavailable {
            return Err(error);
        }
        let message = error.message().to_owned();
        let known = self.last_errors.insert(rollout.to_owned(), message);
        if known.as_deref() != Some(error.message()) {
            let diagnostic = error.diagnostic();
            tracing::error!(rollout, %error, diagnostic, "failed to apply shared rollout");
        }
        Ok(())
    }
}

/// Returns 128 random bits, since every state of the hasher has its own keys.
fn random_name() -> String {
    let [high, low] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!("{high:016x}{low:016x}")
}

/// Builds the error for state that this version cannot read.
fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    Error::internal(format!("failed to read {what}: {error}"))
}
