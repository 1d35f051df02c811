//! What a rollout is told to do.
//!
//! Decision: two types and one function between them. The file says what somebody wrote, every key
//! optional; [`RolloutConfig`] is what will be done, every value decided and checked as a whole. A
//! mistake is an error that names the path of its key, because a misspelt metric that passes
//! silently is a metric that never stops anything.

mod file;
mod resolve;
pub mod rollback;

use std::time::Duration;

use contract::{Arm, AssignmentHash, Layer, ModelName, Split, Unit, Version};
use serde::{Deserialize, Serialize};

use api::yaml::{user_message, yaml_options};

use rollback::OnRollback;

/// What is wrong with a rollout file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct ConfigError {
    /// The path of the key, such as `rollout.metrics[1].at`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A whole rollout, decided.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutConfig {
    /// The name of the rollout, unique in the server.
    pub id: String,
    /// The model.
    pub model: ModelName,
    /// The version that serves now.
    pub stable: Version,
    /// The version on trial.
    pub candidate: Version,
    /// How the candidate is to take over.
    pub strategy: Strategy,
    /// Who gets which version.
    pub assignment: Assignment,
    /// Requests before the candidate is looked at.
    pub warmup: Option<Warmup>,
    /// Copies of requests before the candidate answers any.
    pub shadow: Option<Shadow>,
    /// Shares of the traffic, as fractions above 0 and below 1, rising. Empty for blue/green.
    pub steps: Vec<f64>,
    /// What a step needs before the next.
    pub step: StepRule,
    /// How long the candidate is watched with all of the traffic.
    pub soak: Duration,
    /// The probability of rolling back a healthy candidate.
    pub alpha: f64,
    /// The probability of promoting a candidate that is as bad as the limits say.
    pub beta: f64,
    /// What is compared. At least one is blocking.
    pub metrics: Vec<Metric>,
    /// What ends the rollout at once.
    pub guards: Guards,
    /// Whom the rollout asks.
    pub gates: Vec<Gate>,
    /// What happens after a rollback.
    pub on_rollback: OnRollback,
}

/// How the candidate is to take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In steps of weight.
    #[default]
    Canary,
    /// All of the traffic at once.
    BlueGreen,
    /// Not at all: it only answers copies, and stable goes on.
    Shadow,
    /// At one weight for as long as an operator likes, who then decides.
    Ab,
}

/// Who gets which version.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// What is assigned to a version.
    pub unit: Unit,
    /// How a unit becomes a number.
    pub hash: AssignmentHash,
    /// What is hashed with the unit.
    pub salt: Option<String>,
    /// The header that forces an arm.
    pub override_header: Option<String>,
    /// The layer that the rollout lies in.
    pub layer: Option<Layer>,
}

/// Requests before the candidate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmup {
    /// How many.
    pub n_requests: u64,
    /// Which ones.
    pub source: WarmupSource,
    /// How long they may take together.
    pub timeout: Duration,
}

/// Where warm-up requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmupSource {
    /// Copies of requests to the stable version.
    Recorded,
    /// Made from the signature.
    Synthetic,
}

/// Copies of requests before the candidate answers any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    /// The fraction of the requests that is copied.
    pub share: f64,
    /// The extra time of the workers that copies may take, as a fraction.
    pub max_extra_load: f64,
    /// How many pairs are compared at least.
    pub min_pairs: u64,
    /// The absolute difference of two numbers that agree.
    pub absolute_tolerance: f64,
    /// The relative difference of two numbers that agree.
    pub relative_tolerance: f64,
}

/// What a step needs before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRule {
    /// The least time in the step.
    pub min_time: Duration,
    /// The least number of requests to the candidate in the step.
    pub min_requests: u64,
    /// The longest time without a verdict.
    pub max_time: Duration,
    /// What happens after that.
    pub on_unknown: OnUnknown,
}

/// What happens to a step that gets no verdict in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The weight stays, and somebody is told.
    #[default]
    Hold,
    /// The next step, all the same.
    Promote,
    /// Back to stable.
    Rollback,
}

/// One thing that is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name in reports.
    pub name: String,
    /// What is counted, and against what.
    pub kind: MetricKind,
    /// What it may do.
    pub action: MetricAction,
    /// Its part of the combined evidence.
    pub weight: f64,
}

/// What a metric may do to the rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricAction {
    /// It rolls back, and nothing is promoted without it.
    Block,
    /// It can only hold.
    Hold,
    /// It is shown.
    Report,
}

/// What is counted, and against what.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// A share of the requests, arm against arm.
    Share(ShareRule),
    /// Pairs of answers that differ.
    ShadowDiffers {
        /// The share of differing pairs that is still fine.
        max_rate: f64,
    },
    /// Classes or bins of a score.
    OutputBins {
        /// The distance between the arms that is still fine.
        tolerance: f64,
    },
    /// Rewards that come later.
    Feedback {
        /// Whether more is better.
        direction: Direction,
    },
}

/// How the shares of events in the two arms are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareRule {
    /// What is an event.
    pub event: ShareEvent,
    /// The odds ratio up to which the candidate is no worse.
    pub worse_than: f64,
    /// The odds ratio at which the candidate would be worse.
    pub not_worse_ratio: Option<f64>,
    /// The difference of rates at which the candidate would be worse.
    pub not_worse_difference: Option<f64>,
}

/// What is an event of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareEvent {
    /// It failed, and the caller is not to blame.
    Error,
    /// It was slower than this percentile of the stable version, frozen at the start.
    LatencyOver {
        /// The percentile of the stable version, from 1 to 99.
        percentile: u8,
        /// Which part of the request is timed.
        span: Span,
    },
}

/// Which part of a request is timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// All of it.
    #[default]
    Total,
    /// The time before the model ran.
    Queue,
    /// The run of the model.
    Infer,
}

/// Whether more of a reward is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    #[default]
    Increase,
    /// Less is better.
    Decrease,
}

/// Counts that end a rollout at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guards {
    /// Outputs of the candidate with NaN or infinity in them.
    pub nan_output: Option<u64>,
    /// Errors of the candidate without an answer between them.
    pub consecutive_errors: Option<u64>,
    /// Failed attempts to load the candidate.
    pub load_failure: Option<u64>,
    /// Outputs of another name, type or shape than those of stable.
    pub shape_change: Option<u64>,
    /// Resident memory of the candidate, as a multiple of that of stable.
    pub memory_ratio: Option<f64>,
}

/// Somebody who is asked before the weight rises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Before which move.
    pub before: GatePosition,
    /// Who is asked.
    pub kind: GateKind,
}

/// A move that a gate stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePosition {
    /// The step of this index.
    Step(usize),
    /// All of the traffic.
    Promote,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateKind {
    /// An operator.
    Manual,
    /// A program.
    Webhook {
        /// Where the status is posted.
        url: String,
        /// How long one answer may take.
        timeout: Duration,
    },
}

impl RolloutConfig {
    /// Reads a rollout file, YAML or JSON.
    ///
    /// # Errors
    /// What is wrong, with the path of the key.
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
            Ok(document) => resolve::resolve(document.rollout),
            Err(error) => Err(ConfigError {
                key,
                message: user_message(&error),
            }),
        }
    }

    /// The weight of the candidate in a step; 1 after the last.
    #[must_use]
    pub fn weight_of_step(&self, step: usize) -> f64 {
        self.steps.get(step).copied().unwrap_or(1.0)
    }

    /// The split that gives the candidate this weight. The candidate comes first, so that a growing
    /// weight only moves units to it.
    #[must_use]
    pub fn split(&self, weight: f64) -> Split {
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
        } = self.assignment.clone();
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

    /// The metrics that decide, with their places.
    pub fn blocking(&self) -> impl Iterator<Item = (usize, &Metric)> {
        let all = self.metrics.iter().enumerate();
        all.filter(|(_, metric)| metric.action == MetricAction::Block)
    }
}

#[cfg(test)]
mod tests;
