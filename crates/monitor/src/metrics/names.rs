//! The names of all metrics and labels; no other place spells them.
//!
//! Rule: base units, `_total` for counters, and labels whose values are bounded by what is served.

/// Defines the metrics from rows of variant, type, name, labels and help, in the order of the
/// exposition.
macro_rules! metrics {
    ($($metric:ident: $kind:ident $name:literal [$($label:ident),*] $help:literal,)*) => {
        /// A metric that this server exposes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        impl Metric {
            /// Every metric, in the order of the exposition.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$metric),*];

            /// Returns the name that queries use, with the suffix of a counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$metric => $name,)* }
            }

            /// Returns the help text, one line.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$metric => $help,)* }
            }

            /// Returns the type.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$metric => Kind::$kind,)* }
            }

            /// Returns the labels.
            #[must_use]
            pub const fn labels(self) -> &'static [Label] {
                match self { $(Self::$metric => &[$(Label::$label),*],)* }
            }
        }
    };
}

metrics! {
    Predictions: Counter "model_predictions_total" [Model, ModelVersion, Status, Code]
        "Finished requests to a model, by outcome",
    PredictionLatency: Histogram "model_prediction_latency_seconds" [Model, ModelVersion]
        "Time from validation to the answer, of answered requests",
    ModelLoaded: Gauge "model_loaded" [Model, ModelVersion]
        "1 while the version serves, otherwise 0",
    Queue: Histogram "lockgate_queue_seconds" [Model, ModelVersion]
        "Time from admission until an instance took the request",
    BatchRows: Histogram "lockgate_batch_rows" [Model, ModelVersion]
        "Rows of the batches that the engine ran",
    BatchCompute: Histogram "lockgate_batch_compute_seconds" [Model, ModelVersion]
        "Time that the engine took for one batch",
    BatchVerifications: Counter "lockgate_batch_verifications_total" [Model, ModelVersion, Agree]
        "Requests of a batch that were run again alone, by whether the answers agree",
    InFlight: Gauge "lockgate_in_flight_requests" [Model, ModelVersion]
        "Requests admitted and not answered yet",
    TerminatedRuns: Counter "lockgate_runs_terminated_total" [Model, ModelVersion, Reason]
        "Runs that were terminated early, by reason",
    StuckInstances: Gauge "lockgate_stuck_instances" [Model, ModelVersion]
        "Instances whose run goes on although the engine was asked to stop it",
    ModelLoad: Gauge "lockgate_model_load_seconds" [Model, ModelVersion]
        "Time that the last load of the version took",
    PredictedWait: Gauge "lockgate_predicted_wait_seconds" [Model, ModelVersion]
        "Predicted time to answer a new request of one row",
    AdmissionLevel: Gauge "lockgate_admission_level" [Model, ModelVersion]
        "Lowest priority that would be admitted now, 0 for all of them, -1 for none",
    Calls: Counter "lockgate_calls_total" [Dialect, Status, Code]
        "Answered calls of all kinds, by outcome",
    CallLatency: Histogram "lockgate_call_latency_seconds" [Dialect]
        "Time from the head of a call to the head of its reply",
    RolloutState: Gauge "lockgate_rollout_state" [Model, Rollout, State]
        "1 for the state in which a rollout is, 0 for the others",
    RolloutWeight: Gauge "lockgate_rollout_weight_ratio" [Model, Rollout, Arm]
        "Traffic weight of an arm of a rollout",
    RolloutEvidence: Gauge "lockgate_rollout_log_evidence"
        [Model, Rollout, RolloutMetric, EvidenceKind]
        "Logarithm of the evidence of a metric, for worse or for not worse",
    RolloutEvidenceLimit: Gauge "lockgate_rollout_evidence_limit"
        [Model, Rollout, RolloutMetric, EvidenceKind]
        "Limit that the evidence is compared with",
    RolloutValue: Gauge "lockgate_rollout_metric_value" [Model, Rollout, RolloutMetric, Arm]
        "Rate or mean of a metric in an arm",
    RolloutBound: Gauge "lockgate_rollout_metric_bound" [Model, Rollout, RolloutMetric, Arm, Side]
        "End of the interval in which the rate of a metric lies",
    RolloutTransitions: Counter "lockgate_rollout_transitions_total"
        [Model, Rollout, From, To, Reason]
        "Transitions of a rollout",
    RolloutRollbacks: Counter "lockgate_rollout_rollbacks_total" [Model, Reason]
        "Rollbacks to stable",
    RolloutNotifications: Counter "lockgate_rollout_notifications_total" [Model, Outcome]
        "Notifications of rollouts, by outcome",
    ShadowPairs: Counter "lockgate_shadow_pairs_total" [Model, Rollout, Agree]
        "Shadow requests whose answers were compared",
    ShadowDropped: Counter "lockgate_shadow_dropped_total" [Model, Rollout, Reason]
        "Dropped shadow requests",
    SplitMismatch: Gauge "lockgate_srm_log_evidence" [Model, Rollout]
        "Logarithm of the evidence that the units do not follow the weights",
    AssignFallback: Counter "lockgate_assign_fallback_total" [Model, Rollout]
        "Requests without a unit at the configured location",
    SharedStateUp: Gauge "lockgate_shared_state_up" []
        "1 while the store of shared rollouts answers, otherwise 0; none without such a store",
    LogLinesDropped: Counter "lockgate_log_lines_dropped_total" []
        "Log lines that were dropped or could not be written",
    BuildInfo: Gauge "lockgate_build_info" [ServerVersion]
        "Always 1; the label is the version of the server",
    ProcessCpu: Counter "process_cpu_seconds_total" []
        "Processor time of the process, user and system",
    ProcessMemory: Gauge "process_resident_memory_bytes" []
        "Physical memory of the process",
    ProcessOpenFiles: Gauge "process_open_fds" []
        "Open file descriptors of the process",
    ProcessThreads: Gauge "process_threads" []
        "Threads of the process",
    ProcessStart: Gauge "process_start_time_seconds" []
        "Start of the process, in seconds since 1970",
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

contract::named_enum! {
    /// The key of a label.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Label {
        /// The name of a model.
        Model = "model",
        /// The version of a model.
        ModelVersion = "model_version",
        /// `success` or `error`.
        Status = "status",
        /// The stable code of an error; empty for a success, which to Prometheus is no label.
        Code = "code",
        /// The dialect of a call.
        Dialect = "dialect",
        /// The version of Lockgate.
        ServerVersion = "version",
        /// The name of a rollout.
        Rollout = "rollout",
        /// The state of a rollout.
        State = "state",
        /// `stable` or `candidate`.
        Arm = "arm",
        /// The metric of a rollout, by its name in the rollout file.
        RolloutMetric = "metric",
        /// `worse_start`, `worse_step` or `not_worse`.
        EvidenceKind = "kind",
        /// `lower` or `upper`.
        Side = "side",
        /// The state before.
        From = "from",
        /// The state after.
        To = "to",
        /// The reason, as one of a closed list of words.
        Reason = "reason",
        /// `true` or `false`.
        Agree = "agree",
        /// `delivered`, `refused` or `failed`.
        Outcome = "outcome",
    }
    /// Returns the key as text.
    fn as_str
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use Label::{Model, Rollout};

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
