//! What others see of a rollout: documents that are made once for each look, and news.
//!
//! Decision: readers get what was published last and never wait for the rollout itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use contract::{
    BoxFuture, Error, ModelName, OperatorAction, RawJson, Result, RolloutEvent, RolloutWatch,
    Version,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::leader_state::LeaderRollout;
use super::replicas::Replicas;
use super::shadow_comparison::PairTotals;
use crate::route::DropCounters;
use rollout::config::RolloutConfig;
use rollout::evidence::{Report, Verdict};
use rollout::state::{Rollout, RolloutReport, Status, Transition};
use rollout::timestamp::Timestamp;
use stats::assignment::Assigner;

/// News that a slow watcher may be behind.
const MAX_UPDATES: usize = 64;

/// Acts that wait for the rollout; it looks at them at once.
const MAX_ACTION_REQUESTS: usize = 8;

/// An act, and where the answer goes.
pub(super) type ActionRequest = (OperatorAction, oneshot::Sender<Result<RawJson>>);

/// The documents of one moment.
#[derive(Clone, Debug)]
pub(super) struct RolloutSnapshot {
    /// Where it stands.
    pub(super) status: RawJson,
    /// All numbers with their limits.
    pub(super) evidence: RawJson,
    /// The verdict as a number.
    pub(super) verdict: RawJson,
    /// The share of the candidate.
    pub(super) weight: f64,
    /// The generation.
    pub(super) generation: u64,
    /// When it came where it stands.
    pub(super) since: Timestamp,
    /// The version that has won, when it has ended.
    pub(super) winner: Option<Version>,
}

/// What its course and everybody else share about a rollout.
#[derive(Debug)]
pub(super) struct Published {
    /// What was published last.
    pub(super) snapshot: ArcSwap<RolloutSnapshot>,
    /// Who gets which arm, at the weight of now.
    pub(super) assigner: ArcSwap<Assigner>,
    /// What followers have counted.
    replicas: Mutex<Replicas>,
}

impl Published {
    /// What followers have counted.
    pub(super) fn replicas(&self) -> MutexGuard<'_, Replicas> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One rollout, for everybody else. Its course ends when the entry is dropped.
#[derive(Debug)]
pub(super) struct RolloutHandle {
    /// The model.
    pub(super) model: ModelName,
    /// What somebody wrote.
    pub(super) file: Arc<str>,
    /// What is shown of it.
    pub(super) published: Arc<Published>,
    /// Where acts go; nobody listens any more when it has ended.
    pub(super) action_requests: mpsc::Sender<ActionRequest>,
    /// What is sent to those who watch, until it has ended.
    updates: broadcast::WeakSender<RolloutEvent>,
}

/// The ends of an entry that its course holds; dropped when it has ended.
#[derive(Debug)]
pub(super) struct TaskChannels {
    /// What operators want.
    pub(super) action_requests: mpsc::Receiver<ActionRequest>,
    /// What is sent to those who watch.
    pub(super) updates: broadcast::Sender<RolloutEvent>,
}

impl RolloutHandle {
    /// An entry, and the ends of it that its course holds.
    pub(super) fn new(
        model: ModelName,
        file: &str,
        snapshot: RolloutSnapshot,
        assigner: Assigner,
    ) -> (Arc<Self>, TaskChannels) {
        let (action_requests, arriving) = mpsc::channel(MAX_ACTION_REQUESTS);
        let (updates, _) = broadcast::channel(MAX_UPDATES);
        let handle = Self {
            model,
            file: file.into(),
            published: Arc::new(Published {
                snapshot: ArcSwap::from_pointee(snapshot),
                assigner: ArcSwap::from_pointee(assigner),
                replicas: Mutex::default(),
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

    /// What was published last.
    pub(super) fn snapshot(&self) -> Arc<RolloutSnapshot> {
        self.published.snapshot.load_full()
    }

    /// Follows it from now on.
    pub(super) fn watch(&self) -> Subscription {
        match self.updates.upgrade() {
            Some(updates) => Subscription(updates.subscribe()),
            // Nothing will ever come.
            None => Subscription(broadcast::channel(1).1),
        }
    }
}

/// The evidence, with what copies have shown.
#[derive(Serialize)]
struct EvidenceDocument<'a> {
    #[serde(flatten)]
    report: &'a RolloutReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<serde_json::Value>,
}

impl RolloutSnapshot {
    /// The documents about a rollout. With copies, `shadow` is what they have shown.
    ///
    /// # Errors
    /// `internal` when one of them cannot be written.
    pub(super) fn new(
        rollout: &Rollout,
        shadow: Option<(&PairTotals, &DropCounters)>,
    ) -> Result<Self> {
        let status = rollout.status();
        let report = rollout.report();
        let shadow = shadow.map(|(pairs, drops)| {
            let dropped: serde_json::Map<_, _> = drops
                .counts()
                .map(|(reason, count)| (reason.to_owned(), json!(count)))
                .collect();
            let differing = pairs.differing();
            let failures = pairs.failures();
            let [stable_slower, candidate_slower] = pairs.slower();
            json!({
                "pairs": pairs.n(),
                "agree": differing.n - differing.events,
                "differ": differing.events,
                "stable_failed_alone": failures.stable_alone,
                "candidate_failed_alone": failures.candidate_alone,
                "stable_slower": stable_slower,
                "candidate_slower": candidate_slower,
                "dropped": dropped,
            })
        });
        Ok(Self {
            status: document(&status)?,
            evidence: document(&EvidenceDocument {
                report: &report,
                shadow,
            })?,
            verdict: document(&verdict(&status))?,
            weight: rollout.traffic().weight,
            generation: rollout.progress().generation,
            since: rollout.progress().since,
            winner: winner(rollout),
        })
    }

    /// The documents about a rollout that another server decides about; `winner` is pinned here.
    pub(super) fn from_leader(leader_rollout: &LeaderRollout, winner: Option<Version>) -> Self {
        let [status, evidence, verdict] = leader_rollout.documents();
        Self {
            status,
            evidence,
            verdict,
            weight: leader_rollout.weight,
            generation: leader_rollout.generation,
            since: Timestamp::default(),
            winner,
        }
    }

    /// Whether it has ended.
    pub(super) fn is_final(&self) -> bool {
        self.winner.is_some()
    }
}

/// The version that has won, when a rollout has ended.
pub(super) fn winner(rollout: &Rollout) -> Option<Version> {
    let config = rollout.config();
    let has_ended = rollout.progress().phase.is_final();
    has_ended.then(|| match rollout.traffic().weight > 0.0 {
        true => config.candidate.clone(),
        false => config.stable.clone(),
    })
}

fn verdict(status: &Status) -> serde_json::Value {
    let value = match status.verdict {
        Verdict::Worse => -1,
        Verdict::Unknown => 0,
        Verdict::NotWorse => 1,
    };
    json!({"verdict": status.verdict, "value": value, "state": status.state})
}

/// One move, with what was known when it was made.
pub(super) fn transition_document(
    config: &RolloutConfig,
    transition: &Transition,
) -> Result<RawJson> {
    #[derive(Serialize)]
    struct TransitionDocument {
        at: String,
        from: &'static str,
        to: &'static str,
        reason: String,
        actor: String,
        generation: u64,
        evidence: Report,
    }
    document(&TransitionDocument {
        at: transition.at.to_string(),
        from: transition.from.as_str(),
        to: transition.to.as_str(),
        reason: transition.reason.to_string(),
        actor: transition.actor.clone(),
        generation: transition.generation,
        evidence: transition.evidence.report(config),
    })
}

/// Anything as a document.
pub(super) fn document(value: &impl Serialize) -> Result<RawJson> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| Error::internal(format!("a document: {error}")))?;
    Ok(RawJson::new(&text))
}

/// Documents as one JSON array.
pub(super) fn array<'a>(documents: impl Iterator<Item = &'a str>) -> RawJson {
    let documents: Vec<_> = documents.collect();
    RawJson::new(&format!("[{}]", documents.join(",")))
}

/// Follows the news of one rollout.
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
