//! The names of all metrics and labels; no other place spells them.
//!
//! Rule: base units, `_total` for counters, and labels whose values are bounded by what is served.

use Kind::{Counter, Gauge, Histogram};
use Label::{Agree, Arm, EvidenceKind, From, Reason, Rollout, RolloutMetric, Side, State, To};
use Label::{Dialect, Model, ModelVersion, Outcome, ServerVersion, Status};

/// A metric that this server exposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Finished requests.
    Predictions,
    /// Time from validation to the answer.
    PredictionLatency,
    /// Readiness of a version.
    ModelLoaded,
    /// Time from admission to the instance.
    Queue,
    /// Rows per batch.
    BatchRows,
    /// Run time per batch.
    BatchCompute,
    /// Joined requests that were run again alone.
    BatchVerifications,
    /// Admitted requests that are not answered yet.
    InFlight,
    /// Runs that were terminated early.
    TerminatedRuns,
    /// Instances whose run goes on although it was asked to stop.
    StuckInstances,
    /// Duration of the last load.
    ModelLoad,
    /// Predicted time to answer a new request.
    PredictedWait,
    /// Lowest priority that is admitted.
    AdmissionLevel,
    /// Calls over all protocols.
    Calls,
    /// Time to answer a call.
    CallLatency,
    /// State of a rollout.
    RolloutState,
    /// Traffic weight of an arm.
    RolloutWeight,
    /// Evidence of a metric.
    RolloutEvidence,
    /// Limit that evidence is compared with.
    RolloutEvidenceLimit,
    /// Rate or mean of a metric.
    RolloutValue,
    /// Interval of a rate.
    RolloutBound,
    /// Transitions of a rollout.
    RolloutTransitions,
    /// Rollbacks to stable.
    RolloutRollbacks,
    /// Rollback notifications.
    RolloutNotifications,
    /// Shadow requests whose answers were compared.
    ShadowPairs,
    /// Dropped shadow requests.
    ShadowDropped,
    /// Evidence that the units do not follow the weights.
    SplitMismatch,
    /// Requests without a unit.
    AssignFallback,
    /// Log lines that could not be written.
    LogLinesDropped,
    /// The version of the server.
    BuildInfo,
    /// Processor time of the process.
    ProcessCpu,
    /// Memory of the process.
    ProcessMemory,
    /// Open files of the process.
    ProcessOpenFiles,
    /// Threads of the process.
    ProcessThreads,
    /// Start of the process.
    ProcessStart,
}

/// The type of a metric in the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// The key of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The name of a model.
    Model,
    /// The version of a model.
    ModelVersion,
    /// `success`, or the stable code of an error.
    Status,
    /// The dialect of a call.
    Dialect,
    /// The version of Lockgate.
    ServerVersion,
    /// The name of a rollout.
    Rollout,
    /// The state of a rollout.
    State,
    /// `stable` or `candidate`.
    Arm,
    /// The metric of a rollout, by its name in the rollout file.
    RolloutMetric,
    /// `worse_start`, `worse_step` or `not_worse`.
    EvidenceKind,
    /// `lower` or `upper`.
    Side,
    /// The state before.
    From,
    /// The state after.
    To,
    /// The reason, as one of a closed list of words.
    Reason,
    /// `true` or `false`.
    Agree,
    /// `delivered`, `refused` or `failed`.
    Outcome,
}

impl Metric {
    /// Every metric, in the order of the exposition.
    pub const ALL: [Self; 35] = [
        Self::Predictions,
        Self::PredictionLatency,
        Self::ModelLoaded,
        Self::Queue,
        Self::BatchRows,
        Self::BatchCompute,
        Self::BatchVerifications,
        Self::InFlight,
        Self::TerminatedRuns,
        Self::StuckInstances,
        Self::ModelLoad,
        Self::PredictedWait,
        Self::AdmissionLevel,
        Self::Calls,
        Self::CallLatency,
        Self::RolloutState,
        Self::RolloutWeight,
        Self::RolloutEvidence,
        Self::RolloutEvidenceLimit,
        Self::RolloutValue,
        Self::RolloutBound,
        Self::RolloutTransitions,
        Self::RolloutRollbacks,
        Self::RolloutNotifications,
        Self::ShadowPairs,
        Self::ShadowDropped,
        Self::SplitMismatch,
        Self::AssignFallback,
        Self::LogLinesDropped,
        Self::BuildInfo,
        Self::ProcessCpu,
        Self::ProcessMemory,
        Self::ProcessOpenFiles,
        Self::ProcessThreads,
        Self::ProcessStart,
    ];

    /// Returns the name that queries use, with the suffix of a counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Predictions => "model_predictions_total",
            Self::PredictionLatency => "model_prediction_latency_seconds",
            Self::ModelLoaded => "model_loaded",
            Self::Queue => "lockgate_queue_seconds",
            Self::BatchRows => "lockgate_batch_rows",
            Self::BatchCompute => "lockgate_batch_compute_seconds",
            Self::BatchVerifications => "lockgate_batch_verifications_total",
            Self::InFlight => "lockgate_in_flight_requests",
            Self::TerminatedRuns => "lockgate_runs_terminated_total",
            Self::StuckInstances => "lockgate_stuck_instances",
            Self::ModelLoad => "lockgate_model_load_seconds",
            Self::PredictedWait => "lockgate_predicted_wait_seconds",
            Self::AdmissionLevel => "lockgate_admission_level",
            Self::Calls => "lockgate_calls_total",
            Self::CallLatency => "lockgate_call_latency_seconds",
            Self::RolloutState => "lockgate_rollout_state",
            Self::RolloutWeight => "lockgate_rollout_weight_ratio",
            Self::RolloutEvidence => "lockgate_rollout_log_evidence",
            Self::RolloutEvidenceLimit => "lockgate_rollout_evidence_limit",
            Self::RolloutValue => "lockgate_rollout_metric_value",
            Self::RolloutBound => "lockgate_rollout_metric_bound",
            Self::RolloutTransitions => "lockgate_rollout_transitions_total",
            Self::RolloutRollbacks => "lockgate_rollout_rollbacks_total",
            Self::RolloutNotifications => "lockgate_rollout_notifications_total",
            Self::ShadowPairs => "lockgate_shadow_pairs_total",
            Self::ShadowDropped => "lockgate_shadow_dropped_total",
            Self::SplitMismatch => "lockgate_srm_log_evidence",
            Self::AssignFallback => "lockgate_assign_fallback_total",
            Self::LogLinesDropped => "lockgate_log_lines_dropped_total",
            Self::BuildInfo => "lockgate_build_info",
            Self::ProcessCpu => "process_cpu_seconds_total",
            Self::ProcessMemory => "process_resident_memory_bytes",
            Self::ProcessOpenFiles => "process_open_fds",
            Self::ProcessThreads => "process_threads",
            Self::ProcessStart => "process_start_time_seconds",
        }
    }

    /// Returns the help text, one line.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Predictions => "Finished requests to a model, by outcome",
            Self::PredictionLatency => "Time from validation to the answer, of answered requests",
            Self::ModelLoaded => "1 while the version serves, otherwise 0",
            Self::Queue => "Time from admission until an instance took the request",
            Self::BatchRows => "Rows of the batches that the engine ran",
            Self::BatchCompute => "Time that the engine took for one batch",
            Self::BatchVerifications => {
                "Requests of a batch that were run again alone, by whether the answers agree"
            }
            Self::InFlight => "Requests admitted and not answered yet",
            Self::TerminatedRuns => "Runs that were terminated early, by reason",
            Self::StuckInstances => {
                "Instances whose run goes on although the engine was asked to stop it"
            }
            Self::ModelLoad => "Time that the last load of the version took",
            Self::PredictedWait => "Predicted time to answer a new request of one row",
            Self::AdmissionLevel => {
                "Lowest priority that would be admitted now, 0 for all of them, -1 for none"
            }
            Self::Calls => "Answered calls of all kinds, by outcome",
            Self::CallLatency => "Time from the head of a call to the head of its reply",
            Self::RolloutState => "1 for the state in which a rollout is, 0 for the others",
            Self::RolloutWeight => "Traffic weight of an arm of a rollout",
            Self::RolloutEvidence => {
                "Logarithm of the evidence of a metric, for worse or for not worse"
            }
            Self::RolloutEvidenceLimit => "Limit that the evidence is compared with",
            Self::RolloutValue => "Rate or mean of a metric in an arm",
            Self::RolloutBound => "End of the interval in which the rate of a metric lies",
            Self::RolloutTransitions => "Transitions of a rollout",
            Self::RolloutRollbacks => "Rollbacks to stable",
            Self::RolloutNotifications => "Rollback notifications, by outcome",
            Self::ShadowPairs => "Shadow requests whose answers were compared",
            Self::ShadowDropped => "Dropped shadow requests",
            Self::SplitMismatch => {
                "Logarithm of the evidence that the units do not follow the weights"
            }
            Self::AssignFallback => "Requests without a unit at the configured location",
            Self::LogLinesDropped => "Log lines that were dropped or could not be written",
            Self::BuildInfo => "Always 1; the label is the version of the server",
            Self::ProcessCpu => "Processor time of the process, user and system",
            Self::ProcessMemory => "Physical memory of the process",
            Self::ProcessOpenFiles => "Open file descriptors of the process",
            Self::ProcessThreads => "Threads of the process",
            Self::ProcessStart => "Start of the process, in seconds since 1970",
        }
    }

    /// Returns the type.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Predictions
            | Self::TerminatedRuns
            | Self::Calls
            | Self::ProcessCpu
            | Self::RolloutTransitions
            | Self::RolloutRollbacks
            | Self::RolloutNotifications
            | Self::ShadowPairs
            | Self::ShadowDropped
            | Self::BatchVerifications
            | Self::AssignFallback
            | Self::LogLinesDropped => Counter,
            Self::PredictionLatency
            | Self::Queue
            | Self::BatchRows
            | Self::BatchCompute
            | Self::CallLatency => Histogram,
            Self::ModelLoaded
            | Self::InFlight
            | Self::StuckInstances
            | Self::ModelLoad
            | Self::PredictedWait
            | Self::AdmissionLevel
            | Self::BuildInfo
            | Self::ProcessMemory
            | Self::ProcessOpenFiles
            | Self::ProcessThreads
            | Self::ProcessStart
            | Self::RolloutState
            | Self::RolloutWeight
            | Self::RolloutEvidence
            | Self::RolloutEvidenceLimit
            | Self::RolloutValue
            | Self::RolloutBound
            | Self::SplitMismatch => Gauge,
        }
    }

    /// Returns the labels.
    #[must_use]
    pub const fn labels(self) -> &'static [Label] {
        match self {
            Self::Predictions => &[Model, ModelVersion, Status],
            Self::PredictionLatency
            | Self::ModelLoaded
            | Self::Queue
            | Self::BatchRows
            | Self::BatchCompute
            | Self::InFlight
            | Self::StuckInstances
            | Self::ModelLoad
            | Self::PredictedWait
            | Self::AdmissionLevel => &[Model, ModelVersion],
            Self::TerminatedRuns => &[Model, ModelVersion, Reason],
            Self::BatchVerifications => &[Model, ModelVersion, Agree],
            Self::Calls => &[Dialect, Status],
            Self::CallLatency => &[Dialect],
            Self::RolloutState => &[Model, Rollout, State],
            Self::RolloutWeight => &[Model, Rollout, Arm],
            Self::RolloutEvidence | Self::RolloutEvidenceLimit => {
                &[Model, Rollout, RolloutMetric, EvidenceKind]
            }
            Self::RolloutValue => &[Model, Rollout, RolloutMetric, Arm],
            Self::RolloutBound => &[Model, Rollout, RolloutMetric, Arm, Side],
            Self::RolloutTransitions => &[Model, Rollout, From, To, Reason],
            Self::RolloutRollbacks => &[Model, Reason],
            Self::RolloutNotifications => &[Model, Outcome],
            Self::ShadowPairs => &[Model, Rollout, Agree],
            Self::ShadowDropped => &[Model, Rollout, Reason],
            Self::SplitMismatch | Self::AssignFallback => &[Model, Rollout],
            Self::BuildInfo => &[ServerVersion],
            Self::LogLinesDropped
            | Self::ProcessCpu
            | Self::ProcessMemory
            | Self::ProcessOpenFiles
            | Self::ProcessThreads
            | Self::ProcessStart => &[],
        }
    }
}

impl Label {
    /// Returns the key as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ModelVersion => "model_version",
            Self::Status => "status",
            Self::Dialect => "dialect",
            Self::ServerVersion => "version",
            Self::Rollout => "rollout",
            Self::State => "state",
            Self::Arm => "arm",
            Self::RolloutMetric => "metric",
            Self::EvidenceKind => "kind",
            Self::Side => "side",
            Self::From => "from",
            Self::To => "to",
            Self::Reason => "reason",
            Self::Agree => "agree",
            Self::Outcome => "outcome",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the metrics that break a rule.
    fn wrong(is_right: impl Fn(Metric) -> bool) -> Vec<Metric> {
        let all = Metric::ALL.into_iter();
        all.filter(|metric| !is_right(*metric)).collect()
    }

    #[test]
    fn names_are_listed_once_and_spelled_differently() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let prefixes = ["model_", "lockgate_", "process_"];
        let is_right = |metric: Metric| prefixes.iter().any(|p| metric.name().starts_with(p));
        assert_eq!(wrong(is_right), []);
    }

    #[test]
    fn counters_and_nothing_else_end_in_total() {
        let is_right =
            |metric: Metric| metric.name().ends_with("_total") == (metric.kind() == Kind::Counter);
        assert_eq!(wrong(is_right), []);
    }

    #[test]
    fn no_name_looks_like_a_sample_of_a_histogram() {
        let taken = ["_bucket", "_count", "_sum", "_created"];
        let is_right = |metric: Metric| !taken.iter().any(|end| metric.name().ends_with(end));
        assert_eq!(wrong(is_right), []);
    }

    #[test]
    fn help_is_one_line_that_the_exposition_can_hold() {
        let is_right = |metric: Metric| {
            let help = metric.help();
            !help.is_empty() && !help.ends_with('.') && !help.contains(['\n', '\\', '"'])
        };
        assert_eq!(wrong(is_right), []);
    }

    #[test]
    fn labels_are_words_that_stand_once_and_are_not_reserved() {
        let is_right = |metric: Metric| {
            let keys: Vec<_> = metric.labels().iter().map(|label| label.as_str()).collect();
            let distinct: BTreeSet<_> = keys.iter().collect();
            let is_word = |key: &&str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            // `le` is the bound of a bucket, `quantile` that of a summary.
            let is_free = |key: &&str| !matches!(*key, "le" | "quantile") && !key.starts_with("__");
            distinct.len() == keys.len() && keys.iter().all(is_word) && keys.iter().all(is_free)
        };
        assert_eq!(wrong(is_right), []);
    }

    #[test]
    fn a_rollout_is_always_named_beside_its_model() {
        let is_right = |metric: Metric| {
            let labels = metric.labels();
            !labels.contains(&Rollout) || labels.starts_with(&[Model, Rollout])
        };
        assert_eq!(wrong(is_right), []);
    }
}
