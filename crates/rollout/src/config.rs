//! Configuration of a rollout.
//!
//! Decision: two types and one function between them. The file has what the user wrote, every key
//! optional; [`RolloutConfig`] has every value resolved and checked as a whole. A mistake is an
//! error that names the path of its key, because a misspelt metric that passes silently is a metric
//! that never stops anything.

mod file;
pub mod folder;
mod metric;
pub mod notify;
pub mod prometheus;
mod resolve;
pub mod rollback;

use std::time::Duration;

use contract::{Arm, AssignmentHash, Layer, ModelName, Split, Unit, Version};
use serde::Deserialize;

use api::rollout::MetricAction;
use api::yaml::{user_message, yaml_options};

use crate::timestamp::Timestamp;

pub use metric::{Direction, Metric, MetricKind, ShareEvent, ShareRule};

use notify::Notify;
use prometheus::PrometheusQuery;
use rollback::OnRollback;

/// An error in a rollout file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct ConfigError {
    /// The path of the key, such as `rollout.metrics[1].at`.
    pub key: String,
    /// The message: what is wrong, and what would be right.
    pub message: String,
}

/// A complete rollout configuration, every value resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutConfig {
    /// The name of the rollout, of which one runs at a time.
    pub id: String,
    /// The number of the run of this name, from 1.
    pub run: u64,
    /// The model.
    pub model: ModelName,
    /// The version that serves now.
    pub stable: Version,
    /// The version on trial.
    pub candidate: Version,
    /// The way in which the candidate takes over.
    pub strategy: Strategy,
    /// The rule that assigns units to versions.
    pub assignment: Assignment,
    /// Uncounted requests to the candidate before it is compared.
    pub warmup: Option<Warmup>,
    /// Shadow requests before the candidate answers any.
    pub shadow: Option<Shadow>,
    /// Traffic weights of the candidate, as fractions above 0 and below 1, rising. Empty for
    /// blue-green.
    pub steps: Vec<f64>,
    /// The conditions for leaving a step.
    pub step: StepRule,
    /// The length of the soak, in which the candidate has all traffic.
    pub soak: Duration,
    /// The probability of rolling back a healthy candidate.
    pub alpha: f64,
    /// The probability of promoting a candidate that is as bad as the limits.
    pub beta: f64,
    /// The metrics that are compared. At least one is blocking.
    pub metrics: Vec<Metric>,
    /// The counts that roll back at once.
    pub guards: Guards,
    /// The Prometheus queries that roll back.
    pub guard_queries: Vec<PrometheusQuery>,
    /// The gates of the rollout.
    pub gates: Vec<Gate>,
    /// The targets of notifications.
    pub notify: Vec<Notify>,
    /// The actions after a rollback.
    pub on_rollback: OnRollback,
}

/// The way in which the candidate takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Rising weights, one step after the other.
    #[default]
    Canary,
    /// All traffic at once.
    BlueGreen,
    /// No takeover: the candidate only answers shadow requests, and stable keeps serving.
    Shadow,
    /// One weight until an operator decides.
    Ab,
}

/// The rule that assigns units to versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The unit that is assigned.
    pub unit: Unit,
    /// The hash from a unit to a bucket.
    pub hash: AssignmentHash,
    /// The salt that is hashed with the unit.
    pub salt: Option<String>,
    /// The header that forces an arm.
    pub override_header: Option<String>,
    /// The layer of the rollout.
    pub layer: Option<Layer>,
    /// The time for which a unit keeps its version.
    pub sticky: Sticky,
}

/// The time for which a unit keeps its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The whole rollout. A unit is counted once.
    Rollout,
    /// An assignment epoch of this length, after which units are assigned and counted anew.
    Epoch(Duration),
}

/// Uncounted requests to the candidate before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmup {
    /// The number of requests.
    pub n_requests: u64,
    /// The source of the requests.
    pub source: WarmupSource,
    /// The maximum time of all requests together.
    pub timeout: Duration,
}

/// The source of warm-up requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmupSource {
    /// Recorded requests to the stable version.
    Recorded,
    /// Inputs made up from the signature.
    Synthetic,
}

/// Shadow requests before the candidate answers any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    /// The fraction of the requests that is mirrored.
    pub share: f64,
    /// The extra instance time that shadow requests may take, as a fraction.
    pub max_extra_load: f64,
    /// The minimum number of compared pairs.
    pub min_pairs: u64,
    /// The absolute difference of two numbers that agree.
    pub absolute_tolerance: f64,
    /// The relative difference of two numbers that agree.
    pub relative_tolerance: f64,
}

/// The conditions for leaving a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRule {
    /// The minimum time in the step.
    pub min_time: Duration,
    /// The minimum number of requests to the candidate in the step.
    pub min_requests: u64,
    /// The maximum time without a verdict.
    pub max_time: Duration,
    /// The action after `max_time`.
    pub on_unknown: OnUnknown,
}

/// The action for a step that gets no verdict in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Hold the weight.
    #[default]
    Hold,
    /// Go to the next step without a verdict.
    Promote,
    /// Roll back to stable.
    Rollback,
}

/// Limits of counts that roll back at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guards {
    /// Outputs of the candidate that contain NaN or infinity.
    pub nan_output: Option<u64>,
    /// Consecutive errors of the candidate.
    pub consecutive_errors: Option<u64>,
    /// Failed attempts to load the candidate.
    pub load_failure: Option<u64>,
    /// Outputs whose name, type or shape differs from stable.
    pub shape_change: Option<u64>,
    /// Resident memory of the candidate, as a multiple of that of stable.
    pub memory_ratio: Option<f64>,
}

/// A question that must be answered before the weight rises.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The position of the gate.
    pub before: GatePosition,
    /// The party that answers the gate.
    pub kind: GateKind,
}

/// The point of a rollout that a gate precedes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePosition {
    /// Before the step of this index.
    Step(usize),
    /// Before the candidate gets all traffic.
    Promote,
}

/// The party that answers the gate.
#[derive(Clone, Debug, PartialEq)]
pub enum GateKind {
    /// An operator.
    Manual,
    /// A program.
    Webhook {
        /// The URL to which the status is posted.
        url: String,
        /// The maximum time of one call.
        timeout: Duration,
    },
    /// Prometheus.
    Prometheus(PrometheusQuery),
}

impl GateKind {
    /// Returns the `type` in a rollout file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Webhook { .. } => "webhook",
            Self::Prometheus(_) => "prometheus",
        }
    }
}

impl RolloutConfig {
    /// Reads a rollout file, YAML or JSON.
    ///
    /// # Errors
    /// [`ConfigError`] with the path of the key.
    ///
    /// ```
    /// use rollout::config::RolloutConfig;
    ///
    /// let text = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5, 50]}";
    /// assert_eq!(RolloutConfig::parse(text)?.steps, [0.05, 0.5]);
    ///
    /// let error = RolloutConfig::parse("rollout: {id: a, stepz: [5]}").unwrap_err();
    /// assert_eq!(error.key, "rollout.stepz");
    /// # Ok::<(), rollout::config::ConfigError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        resolve::resolve(read(text)?)
    }

    /// Returns the rollout as this run of its name. From the second run on, the default salt is
    /// another one, so that other users get the candidate first; a salt of the file stays.
    #[must_use]
    pub fn for_run(mut self, run: u64) -> Self {
        let default_salt = format!("{}/{}", self.model, self.id);
        let salt = self.assignment.salt.as_mut();
        if let Some(salt) = salt.filter(|salt| run > 1 && **salt == default_salt) {
            *salt = format!("{default_salt}/{run}");
        }
        self.run = run;
        self
    }

    /// Returns the weight of the candidate in a step; 1 after the last.
    #[must_use]
    pub fn weight_of_step(&self, step: usize) -> f64 {
        self.steps.get(step).copied().unwrap_or(1.0)
    }

    /// Returns the assignment epoch at a time: the number of the interval in which a unit keeps its
    /// version.
    #[must_use]
    pub fn assignment_epoch(&self, now: Timestamp) -> u64 {
        match self.assignment.sticky {
            Sticky::Rollout => 0,
            Sticky::Epoch(length) => {
                let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                now.0 / millis.max(1)
            }
        }
    }

    /// Returns the split that gives the candidate this weight in an assignment epoch. The candidate
    /// comes first, so that a growing weight only moves units to it.
    #[must_use]
    pub fn split(&self, weight: f64, assignment_epoch: u64) -> Split {
        let arm = |name: &str, version: &Version, weight| Arm {
            name: name.to_owned(),
            version: version.to_string(),
            weight,
        };
        let Assignment {
            unit,
            hash,
            salt,
            override_header,
            layer,
            sticky,
        } = self.assignment.clone();
        let salt = match sticky {
            Sticky::Rollout => salt,
            Sticky::Epoch(_) => salt.map(|salt| format!("{salt}/{assignment_epoch}")),
        };
        Split {
            arms: vec![
                arm("candidate", &self.candidate, weight),
                arm("stable", &self.stable, 1.0 - weight),
            ],
            unit,
            hash,
            salt,
            coverage: 1.0,
            layer,
            override_header,
            bandit: None,
        }
    }

    /// Returns the blocking metrics with their indices.
    pub fn blocking(&self) -> impl Iterator<Item = (usize, &Metric)> {
        let all = self.metrics.iter().enumerate();
        all.filter(|(_, metric)| metric.action == MetricAction::Block)
    }
}

/// Reads the text of a rollout file.
fn read(text: &str) -> Result<file::RolloutFile, ConfigError> {
    let mut key = String::new();
    let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    };
    let document: Result<file::ConfigFile, _> =
        serde_saphyr::with_deserializer_from_str_with_options(text, yaml_options(), read);
    match document {
        Ok(document) => Ok(document.rollout),
        Err(error) => Err(ConfigError {
            key,
            message: user_message(&error),
        }),
    }
}

#[cfg(test)]
mod tests;
