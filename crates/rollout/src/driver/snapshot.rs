//! The published view of a rollout: documents built once per sample, and events.
//!
//! Decision: readers get the last published snapshot and never wait for the rollout itself.

use std::sync::Arc;

use api::rollout::{RolloutReport, RolloutVerdict, ShadowReport};
use arc_swap::ArcSwap;
use contract::{
    BoxFuture, ModelName, OperatorAction, RawJson, Result, RolloutEvent, RolloutWatch, Version,
};
use stats::assignment::Assigner;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::documents::document;
use super::notifications::OpenAlert;
use super::traffic_control::RolloutTraffic;
use crate::config::RolloutConfig;
use crate::state::{Rollout, Transition};
use crate::timestamp::Timestamp;

/// Number of events that a slow watcher may lag behind.
const MAX_UPDATES: usize = 64;

/// Number of operator actions that may wait for the rollout task, which takes them at once.
const MAX_ACTION_REQUESTS: usize = 8;

/// An operator action with the sender of its reply.
pub(super) type ActionRequest = (OperatorAction, oneshot::Sender<Result<RawJson>>);

/// The documents of a rollout at one moment.
#[derive(Clone, Debug)]
pub(super) struct RolloutSnapshot {
    /// Status document.
    pub(super) status: RawJson,
    /// Evidence document: all numbers with their limits.
    pub(super) evidence: RawJson,
    /// Verdict document, with the verdict as a number.
    pub(super) verdict: RawJson,
    /// Time of the last transition.
    pub(super) since: Timestamp,
    /// Winning version; `None` while the rollout runs.
    pub(super) winner: Option<Version>,
    /// The alerts that the end has left.
    pub(super) open_alerts: Vec<OpenAlert>,
}

/// State of a rollout that its task shares with readers.
#[derive(Debug)]
pub(super) struct Published {
    /// The last published snapshot.
    pub(super) snapshot: ArcSwap<RolloutSnapshot>,
    /// Assignment of units to arms at the current weight.
    pub(super) assigner: ArcSwap<Assigner>,
}

/// Handle of one rollout. Its task ends when the handle is dropped.
#[derive(Debug)]
pub(super) struct RolloutHandle {
    /// The model.
    pub(super) model: ModelName,
    /// The rollout file as written.
    pub(super) file: Arc<str>,
    /// The number of the run of its id.
    pub(super) run: u64,
    /// The published state.
    pub(super) published: Arc<Published>,
    /// Sender of operator actions; closed when the rollout has ended.
    pub(super) action_requests: mpsc::Sender<ActionRequest>,
    /// Sender of events to watchers, until the rollout has ended.
    updates: broadcast::WeakSender<RolloutEvent>,
}

/// The ends of the channels of a handle that the task holds; dropped when the rollout has ended.
#[derive(Debug)]
pub(super) struct TaskChannels {
    /// Operator actions.
    pub(super) action_requests: mpsc::Receiver<ActionRequest>,
    /// Sender of events to watchers.
    pub(super) updates: broadcast::Sender<RolloutEvent>,
}

impl RolloutHandle {
    /// Creates a handle, and the ends of its channels for the task.
    pub(super) fn new(
        config: &RolloutConfig,
        file: &str,
        snapshot: RolloutSnapshot,
        assigner: Assigner,
    ) -> (Arc<Self>, TaskChannels) {
        let (action_requests, arriving) = mpsc::channel(MAX_ACTION_REQUESTS);
        let (updates, _) = broadcast::channel(MAX_UPDATES);
        let handle = Self {
            model: config.model.clone(),
            file: file.into(),
            run: config.run,
            published: Arc::new(Published {
                snapshot: ArcSwap::from_pointee(snapshot),
                assigner: ArcSwap::from_pointee(assigner),
            }),
            action_requests,
            updates: updates.downgrade(),
        };
        let channels = TaskChannels {
            action_requests: arriving,
            updates,
        };
        (Arc::new(handle), channels)
    }

    /// Returns the last published snapshot.
    pub(super) fn snapshot(&self) -> Arc<RolloutSnapshot> {
        self.published.snapshot.load_full()
    }

    /// Returns whether the rollout has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.snapshot().is_final()
    }

    /// Subscribes to the events from now on.
    pub(super) fn watch(&self) -> Subscription {
        match self.updates.upgrade() {
            Some(updates) => Subscription(updates.subscribe()),
            // The rollout has ended, so there are no further events.
            None => Subscription(broadcast::channel(1).1),
        }
    }
}

impl RolloutSnapshot {
    /// Builds the documents of a rollout; without its traffic, they have no results of shadow
    /// requests.
    ///
    /// # Errors
    /// `internal` when one of them cannot be serialized.
    pub(super) fn new(rollout: &Rollout, traffic: Option<&dyn RolloutTraffic>) -> Result<Self> {
        let status = rollout.status();
        let traffic = traffic.filter(|_| rollout.config().shadow.is_some());
        let report = RolloutReport {
            shadow: traffic.map(shadow_report),
            ..rollout.report()
        };
        let verdict = RolloutVerdict {
            verdict: status.verdict,
            value: status.verdict.value(),
            state: Some(status.state),
            reason: None,
        };
        Ok(Self {
            status: document(&status)?,
            evidence: document(&report)?,
            verdict: document(&verdict)?,
            since: rollout.progress().since,
            winner: winner(rollout),
            open_alerts: OpenAlert::of_ended(rollout),
        })
    }

    /// Returns whether the rollout has ended.
    pub(super) fn is_final(&self) -> bool {
        self.winner.is_some()
    }
}

/// Returns the winning version of a rollout; `None` while it runs.
pub(super) fn winner(rollout: &Rollout) -> Option<Version> {
    let config = rollout.config();
    let has_ended = rollout.progress().phase.is_final();
    has_ended.then(|| match rollout.traffic().weight > 0.0 {
        true => config.candidate.clone(),
        false => config.stable.clone(),
    })
}

/// Returns the results of shadow requests.
fn shadow_report(traffic: &dyn RolloutTraffic) -> ShadowReport {
    let pairs = traffic.pairs();
    let dropped = traffic.dropped().into_iter();
    ShadowReport {
        pairs: pairs.n(),
        agree: pairs.n_answered - pairs.n_differing,
        differ: pairs.n_differing,
        stable_failed_alone: pairs.n_stable_failed,
        candidate_failed_alone: pairs.n_candidate_failed,
        stable_slower: pairs.n_stable_slower,
        candidate_slower: pairs.n_candidate_slower,
        dropped: dropped
            .map(|(reason, count)| (reason.to_owned(), count.into()))
            .collect(),
    }
}

/// Builds the document of one transition, with its evidence.
pub(super) fn transition_document(
    config: &RolloutConfig,
    transition: &Transition,
) -> Result<RawJson> {
    document(&api::rollout::Transition {
        at: transition.at.to_string(),
        from: transition.from.state(),
        to: transition.to.state(),
        step: transition.to.step(),
        n_steps: config.steps.len(),
        reason: transition.reason.to_string(),
        actor: transition.actor.clone(),
        generation: transition.generation,
        evidence: transition.evidence.report(config),
    })
}

/// Subscription to the events of one rollout.
#[derive(Debug)]
pub(super) struct Subscription(broadcast::Receiver<RolloutEvent>);

impl RolloutWatch for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Option<RolloutEvent>> {
        Box::pin(async move {
            loop {
                match self.0.recv().await {
                    Ok(update) => return Some(update),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }
}
