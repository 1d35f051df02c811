//! `Catalog`: shows the models of a server, their status and their statistics.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::model::{ModelName, SharedModelInfo, Version};
use crate::scheduling::Scheduling;
use crate::traffic::Routing;

crate::named_enum! {
    /// Lifecycle state of a version.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum VersionState {
        /// Being opened, checked and warmed up.
        Loading = "LOADING",
        /// Serving.
        Ready = "READY",
        /// Answering accepted requests, refusing new ones.
        Unloading = "UNLOADING",
        /// Not serving; [`VersionStatus::reason`] holds the reason.
        Unavailable = "UNAVAILABLE",
    }
    /// Returns the name of the state in the repository index of the Open Inference Protocol.
    fn as_str
}

/// Status of one version of a model.
#[derive(Clone, Debug)]
pub struct VersionStatus {
    /// The version.
    pub version: Version,
    /// Its state.
    pub state: VersionState,
    /// The reason for the state; empty while the version is ready, unless it waits for a promotion,
    /// or its files have changed since and failed to load.
    pub reason: String,
    /// Its description; `None` before the version has been loaded.
    pub info: Option<SharedModelInfo>,
    /// Requests admitted and not answered yet.
    pub n_in_flight: usize,
    /// The scheduling of its requests; `None` before the version has been loaded.
    pub scheduling: Option<Scheduling>,
}

/// Status of one model.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// The name.
    pub name: ModelName,
    /// A problem of the model as a whole: an invalid `model.yaml`, or versions that failed to load
    /// while others serve; empty otherwise.
    pub reason: String,
    /// Its versions, in ascending order.
    pub versions: Vec<VersionStatus>,
    /// The routing rules that decide between them.
    pub routing: Routing,
    /// Conditions that an operator should know of, such as a rollout file without effect.
    pub warnings: Vec<String>,
}

impl ModelStatus {
    /// Returns the version that answers when a request names none and no split applies: the pinned
    /// one, or where new versions wait the one that answered before them, otherwise the highest that
    /// is ready.
    #[must_use]
    pub fn latest(&self) -> Option<&VersionStatus> {
        let is_ready = |status: &&VersionStatus| status.state == VersionState::Ready;
        let Routing {
            pinned, default, ..
        } = &self.routing;
        match pinned.as_ref().or(default.as_ref()) {
            Some(version) => self.version(version.as_str()).filter(is_ready),
            None => self.versions.iter().rev().find(is_ready),
        }
    }

    /// Returns the version with this name or label.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<&VersionStatus> {
        let find = |text: &str| {
            let mut versions = self.versions.iter();
            versions.find(|status| status.version.as_str() == text)
        };
        find(version).or_else(|| find(self.routing.labels.get(version)?.as_str()))
    }

    /// Returns the reason why the model serves nothing or, while it serves, the problem of files
    /// that failed to load.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let while_ready = || (!self.reason.is_empty()).then(|| self.reason.clone());
        self.not_ready_reason().or_else(while_ready)
    }

    /// Returns the reason why the model serves nothing; `None` while it has a ready version.
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

/// Readiness of the server for traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// True when the server is ready.
    pub is_ready: bool,
    /// The reason why it is not ready; empty otherwise.
    pub reason: String,
    /// Conditions that an operator should know of, ready or not.
    pub warnings: Vec<String>,
}

/// A count and the total time of what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountAndTime {
    /// The count.
    pub count: u64,
    /// The total time.
    pub total: Duration,
}

/// Statistics of the batches of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Rows of each of these batches.
    pub batch_rows: usize,
    /// Time for joining their inputs.
    pub compute_input: CountAndTime,
    /// Time in the engine.
    pub compute: CountAndTime,
    /// Time for splitting their outputs.
    pub compute_output: CountAndTime,
}

/// Statistics of one version since it was loaded. Counters only grow.
#[derive(Clone, Debug)]
pub struct VersionStatistics {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// The time of the last run; `None` before the first one.
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
    /// Returns the statistics of a version that has not run yet.
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

/// Shows the models that a server has. May be called from many tasks at once.
pub trait Catalog: Send + Sync + fmt::Debug {
    /// Returns every model of the repository with all its versions, ordered by name.
    fn models(&self) -> Vec<ModelStatus>;

    /// Returns one model.
    ///
    /// # Errors
    /// `model_not_found`.
    fn model(&self, name: &ModelName) -> Result<ModelStatus>;

    /// Returns whether the server is ready: every model that should be served has a ready version,
    /// and the server is not draining.
    fn readiness(&self) -> Readiness;

    /// Returns statistics of the ready versions of one model, or of all.
    ///
    /// # Errors
    /// `model_not_found`.
    fn statistics(&self, name: Option<&ModelName>) -> Result<Vec<VersionStatistics>>;
}

#[cfg(test)]
mod tests;
