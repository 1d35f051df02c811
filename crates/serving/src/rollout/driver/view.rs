//! What others see of a rollout: documents that are made once for each look, and news.
//!
//! Decision: readers get what was published last and never wait for the rollout itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use contract::{
    Act, BoxFuture, Document, Error, ModelName, Result, RolloutNews, RolloutWatch, Version,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::pairs::PairTotals;
use super::replicas::Replicas;
use super::told::ToldRollout;
use crate::rollout::config::RolloutConfig;
use crate::rollout::evidence::{Report, Verdict};
use crate::rollout::moment::Moment;
use crate::rollout::state::{Numbers, Rollout, Status, Transition};
use crate::route::{Assigner, Drops};

/// News that a slow watcher may be behind.
const MAX_NEWS: usize = 64;

/// Acts that wait for the rollout; it looks at them at once.
const MAX_ORDERS: usize = 8;

/// An act, and where the answer goes.
pub(super) type Order = (Act, oneshot::Sender<Result<Document>>);

/// The documents of one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Where it stands.
    pub(super) status: Document,
    /// All numbers with their limits.
    pub(super) evidence: Document,
    /// The verdict as a number.
    pub(super) verdict: Document,
    /// The share of the candidate.
    pub(super) weight: f64,
    /// The generation.
    pub(super) generation: u64,
    /// When it came where it stands.
    pub(super) since: Moment,
    /// The version that has won, when it has ended.
    pub(super) winner: Option<Version>,
}

/// What its course and everybody else share about a rollout.
#[derive(Debug)]
pub(super) struct Shown {
    /// What was published last.
    pub(super) view: ArcSwap<View>,
    /// Who gets which arm, at the weight of now.
    pub(super) assigner: ArcSwap<Assigner>,
    /// What followers have counted.
    replicas: Mutex<Replicas>,
}

impl Shown {
    /// What followers have counted.
    pub(super) fn replicas(&self) -> MutexGuard<'_, Replicas> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One rollout, for everybody else. Its course ends when the entry is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    /// The model.
    pub(super) model: ModelName,
    /// What somebody wrote.
    pub(super) file: Arc<str>,
    /// What is shown of it.
    pub(super) shown: Arc<Shown>,
    /// Where acts go; nobody listens any more when it has ended.
    pub(super) orders: mpsc::Sender<Order>,
    /// What is sent to those who watch, until it has ended.
    news: broadcast::WeakSender<RolloutNews>,
}

/// The ends of an entry that its course holds; dropped when it has ended.
#[derive(Debug)]
pub(super) struct Ends {
    /// What operators want.
    pub(super) orders: mpsc::Receiver<Order>,
    /// What is sent to those who watch.
    pub(super) news: broadcast::Sender<RolloutNews>,
}

impl Entry {
    /// An entry, and the ends of it that its course holds.
    pub(super) fn new(
        model: ModelName,
        file: &str,
        view: View,
        assigner: Assigner,
    ) -> (Arc<Self>, Ends) {
        let (orders, arriving) = mpsc::channel(MAX_ORDERS);
        let (news, _) = broadcast::channel(MAX_NEWS);
        let entry = Self {
            model,
            file: file.into(),
            shown: Arc::new(Shown {
                view: ArcSwap::from_pointee(view),
                assigner: ArcSwap::from_pointee(assigner),
                replicas: Mutex::default(),
            }),
            orders,
            news: news.downgrade(),
        };
        let ends = Ends {
            orders: arriving,
            news,
        };
        (Arc::new(entry), ends)
    }

    /// What was published last.
    pub(super) fn view(&self) -> Arc<View> {
        self.shown.view.load_full()
    }

    /// Follows it from now on.
    pub(super) fn watch(&self) -> Watch {
        match self.news.upgrade() {
            Some(news) => Watch(news.subscribe()),
            // Nothing will ever come.
            None => Watch(broadcast::channel(1).1),
        }
    }
}

/// The evidence, with what copies have shown.
#[derive(Serialize)]
struct EvidenceDocument<'a> {
    #[serde(flatten)]
    numbers: &'a Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<serde_json::Value>,
}

impl View {
    /// The documents about a rollout. With copies, `shadow` is what they have shown.
    ///
    /// # Errors
    /// `internal` when one of them cannot be written.
    pub(super) fn new(rollout: &Rollout, shadow: Option<(&PairTotals, &Drops)>) -> Result<Self> {
        let status = rollout.status();
        let numbers = rollout.numbers();
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
                numbers: &numbers,
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
    pub(super) fn told(told: &ToldRollout, winner: Option<Version>) -> Self {
        let [status, evidence, verdict] = told.documents();
        Self {
            status,
            evidence,
            verdict,
            weight: told.weight,
            generation: told.generation,
            since: Moment::default(),
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
pub(super) fn move_document(config: &RolloutConfig, made: &Transition) -> Result<Document> {
    #[derive(Serialize)]
    struct Move {
        at: String,
        from: &'static str,
        to: &'static str,
        reason: String,
        actor: String,
        generation: u64,
        evidence: Report,
    }
    document(&Move {
        at: made.at.to_string(),
        from: made.from.as_str(),
        to: made.to.as_str(),
        reason: made.reason.to_string(),
        actor: made.actor.clone(),
        generation: made.generation,
        evidence: made.evidence.report(config),
    })
}

/// Anything as a document.
pub(super) fn document(value: &impl Serialize) -> Result<Document> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| Error::internal(format!("a document: {error}")))?;
    Ok(Document::new(&text))
}

/// Documents as one JSON array.
pub(super) fn array<'a>(documents: impl Iterator<Item = &'a str>) -> Document {
    let documents: Vec<_> = documents.collect();
    Document::new(&format!("[{}]", documents.join(",")))
}

/// Follows the news of one rollout.
#[derive(Debug)]
pub(super) struct Watch(broadcast::Receiver<RolloutNews>);

impl RolloutWatch for Watch {
    fn next(&mut self) -> BoxFuture<'_, Option<RolloutNews>> {
        Box::pin(async move {
            loop {
                match self.0.recv().await {
                    Ok(news) => return Some(news),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }
}
