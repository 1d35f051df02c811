//! `Control`: what is served, how it is doing, and changing it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::{Code, Error, Result};
use crate::feedback::Feedback;
use crate::infer::BoxFuture;
use crate::model::{ModelName, SharedModelInfo, Version};
use crate::request::NamedTensor;
use crate::rollout::Rollouts;
use crate::scheduling::Scheduling;
use crate::traffic::{Change, HistoryEntry, Routing};

/// Where a version stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Being opened, checked and warmed up.
    Loading,
    /// Serving.
    Ready,
    /// Answering what it accepted, taking nothing new.
    Unloading,
    /// Not serving; the reason says why.
    Unavailable,
}

impl VersionState {
    /// The state in the words of the repository index of the Open Inference Protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::Unloading => "UNLOADING",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// One version of a model, as the repository knows it.
#[derive(Clone, Debug)]
pub struct VersionStatus {
    /// The version.
    pub version: Version,
    /// Where it stands.
    pub state: VersionState,
    /// Why it stands there; empty while it is ready, unless its files have changed since and failed
    /// to load.
    pub reason: String,
    /// What is known about it once it has been loaded.
    pub info: Option<SharedModelInfo>,
    /// Requests admitted and not answered yet.
    pub n_in_flight: usize,
    /// How it schedules its requests, once it has been loaded.
    pub scheduling: Option<Scheduling>,
}

/// One model, as the repository knows it.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// The name.
    pub name: ModelName,
    /// What is wrong with the model as a whole: a broken `model.yaml`, or versions that failed to
    /// load while others serve; empty otherwise.
    pub reason: String,
    /// Its versions, in ascending order.
    pub versions: Vec<VersionStatus>,
    /// What decides between them.
    pub routing: Routing,
}

impl ModelStatus {
    /// The version that answers when none is named and no split decides: the pinned one, else the
    /// highest that is ready.
    #[must_use]
    pub fn latest(&self) -> Option<&VersionStatus> {
        let is_ready = |status: &&VersionStatus| status.state == VersionState::Ready;
        match &self.routing.pinned {
            Some(pinned) => self.version(pinned.as_str()).filter(is_ready),
            None => self.versions.iter().rev().find(is_ready),
        }
    }

    /// The version of that text, which may be a label.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<&VersionStatus> {
        let find = |text: &str| {
            let mut versions = self.versions.iter();
            versions.find(|status| status.version.as_str() == text)
        };
        find(version).or_else(|| find(self.routing.labels.get(version)?.as_str()))
    }

    /// Why the model serves nothing or, while it serves, what it could not take up.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let while_ready = || (!self.reason.is_empty()).then(|| self.reason.clone());
        self.not_ready_reason().or_else(while_ready)
    }

    /// Why the model serves nothing; `None` while it has a ready version.
    #[must_use]
    pub fn not_ready_reason(&self) -> Option<String> {
        if self.latest().is_some() {
            return None;
        }
        if !self.reason.is_empty() {
            return Some(self.reason.clone());
        }
        let reasons: Vec<_> = self
            .versions
            .iter()
            .map(|status| match status.reason.as_str() {
                "" => format!("version {} is {}", status.version, status.state.as_str()),
                reason => format!("version {}: {reason}", status.version),
            })
            .collect();
        match reasons.is_empty() {
            true => Some("it has no versions".to_owned()),
            false => Some(reasons.join("; ")),
        }
    }
}

/// Whether the server wants traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// True when it does.
    pub is_ready: bool,
    /// Why it does not; empty otherwise.
    pub reason: String,
}

/// A count and the time that belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountAndTime {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub total: Duration,
}

/// Batches of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Rows of each of these batches.
    pub batch_rows: usize,
    /// Joining their inputs.
    pub compute_input: CountAndTime,
    /// Running the engine.
    pub compute: CountAndTime,
    /// Splitting their outputs.
    pub compute_output: CountAndTime,
}

/// What one version has done since it was loaded. Counters only grow.
#[derive(Clone, Debug)]
pub struct VersionStatistics {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// When it last ran; `None` before the first run.
    pub last_inference: Option<SystemTime>,
    /// Rows answered.
    pub n_rows: u64,
    /// Runs of the engine.
    pub n_executions: u64,
    /// Requests answered, and their time in the server.
    pub success: CountAndTime,
    /// Requests that failed after admission, and their time in the server.
    pub fail: CountAndTime,
    /// Answered requests, and their time in the queue.
    pub queue: CountAndTime,
    /// Answered requests, and the time in which the inputs of their batches were joined.
    pub compute_input: CountAndTime,
    /// Answered requests, and the run time of their batches.
    pub compute: CountAndTime,
    /// Answered requests, and the time in which the outputs of their batches were split.
    pub compute_output: CountAndTime,
    /// Runs by batch size, ascending.
    pub batches: Vec<BatchStatistics>,
}

impl VersionStatistics {
    /// The statistics of a version that has done nothing yet.
    #[must_use]
    pub fn new(model: ModelName, version: Version) -> Self {
        Self {
            model,
            version,
            last_inference: None,
            n_rows: 0,
            n_executions: 0,
            success: CountAndTime::default(),
            fail: CountAndTime::default(),
            queue: CountAndTime::default(),
            compute_input: CountAndTime::default(),
            compute: CountAndTime::default(),
            compute_output: CountAndTime::default(),
            batches: Vec::new(),
        }
    }
}

/// Shows and changes what is served. Called by admin endpoints and by the command line; may be
/// called from many tasks at once.
pub trait Control: Send + Sync + fmt::Debug {
    /// Every model of the repository with all its versions, by name.
    fn models(&self) -> Vec<ModelStatus>;

    /// One model.
    ///
    /// # Errors
    /// `model_not_found`.
    fn model(&self, name: &ModelName) -> Result<ModelStatus>;

    /// Whether the server wants traffic: everything that was asked for has a ready version, and it
    /// is not draining.
    fn readiness(&self) -> Readiness;

    /// Statistics of the ready versions of one model, or of all.
    ///
    /// # Errors
    /// `model_not_found`.
    fn statistics(&self, name: Option<&ModelName>) -> Result<Vec<VersionStatistics>>;

    /// Reads the folder of a model again and loads what its settings ask for; returns when it
    /// serves. A model that is unchanged and ready stays as it is.
    ///
    /// # Errors
    /// `model_not_found`, or the reason why a version failed to load; what served before goes on.
    fn load<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>>;

    /// Stops serving a model; accepted requests are answered. Returns at once.
    ///
    /// # Errors
    /// `model_not_found` when it was never served.
    fn unload<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>>;

    /// Changes what is served, for `actor`; returns what decides from then on, when it would survive
    /// a crash. Loading returns when the version serves.
    ///
    /// # Errors
    /// `model_not_found`, `version_not_found`, `invalid_request` for what makes no sense, and the
    /// reason why a version failed to load.
    fn change<'a>(
        &'a self,
        name: &'a ModelName,
        change: Change,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<Routing>> {
        let unsupported = unsupported(format!("{actor} cannot change `{name}` here: {change:?}"));
        Box::pin(async move { Err(unsupported) })
    }

    /// The rollouts of the server; `None` where there can be none.
    fn rollouts(&self) -> Option<&dyn Rollouts> {
        None
    }

    /// The last `limit` changes of a model, the newest first.
    ///
    /// # Errors
    /// `model_not_found`, or `internal` when they cannot be read.
    fn history<'a>(
        &'a self,
        name: &'a ModelName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HistoryEntry>>> {
        let unsupported = unsupported(format!(
            "no history of `{name}`, {limit} lines of it wanted"
        ));
        Box::pin(async move { Err(unsupported) })
    }

    /// The inputs of the next `n_requests` for a model that callers send, or of fewer when
    /// `timeout` ends before that. They are answered as always.
    ///
    /// # Errors
    /// `model_not_found`, or `unsupported` where traffic is not recorded, which is the default.
    fn record<'a>(
        &'a self,
        name: &'a ModelName,
        n_requests: usize,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<NamedTensor>>>> {
        let diagnostic = format!("{n_requests} of `{name}` within {timeout:?}");
        let error = Error::new(Code::Unsupported, "requests are not recorded here");
        Box::pin(async move { Err(error.with_diagnostic(diagnostic)) })
    }

    /// Takes up what became known about answers, for the arms of the splits that gave them; says
    /// for each whether it was. Cheap, and does not wait.
    ///
    /// # Errors
    /// `request_not_found` for an answer or a unit that is not known, `model_not_found`, and
    /// `invalid_request` for a label of an answer without a class.
    fn feedback(&self, feedback: &[Feedback]) -> Vec<Result<()>> {
        let unsupported =
            |feedback| unsupported(format!("feedback is not taken here: {feedback:?}"));
        feedback.iter().map(|item| Err(unsupported(item))).collect()
    }
}

/// What a server says that cannot be changed, which is the default.
fn unsupported(diagnostic: String) -> Error {
    let sentence = "labels, pins, splits, their history and feedback are not offered here";
    Error::new(Code::Unsupported, sentence).with_diagnostic(diagnostic)
}

#[cfg(test)]
mod tests;
