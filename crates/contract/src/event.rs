//! The telemetry events of all crates, in one enum: the only input of `monitor`.

use std::time::Duration;

use crate::catalog::VersionState;
use crate::error::Code;
use crate::model::{ModelName, Version};
use crate::response::Timings;
use crate::scheduling::SchedulingReading;

/// A telemetry event.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A version changed its state.
    VersionChanged {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Its new state.
        state: VersionState,
        /// The time that loading took; given with `Ready`.
        load_time: Option<Duration>,
    },
    /// A version left the repository; nothing more will happen to it.
    VersionRemoved {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
    },
    /// A request passed validation and admission.
    RequestAdmitted {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
    },
    /// A routed request ended.
    RequestFinished {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// True when [`Event::RequestAdmitted`] came before.
        was_admitted: bool,
        /// The code of the error; `None` when the request was answered.
        error: Option<Code>,
        /// The time from validation to the answer.
        latency: Duration,
        /// The time in each stage, when the request ran.
        timings: Option<Timings>,
    },
    /// An engine ran one batch.
    BatchExecuted {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Rows of the batch.
        n_rows: usize,
        /// Requests in the batch.
        n_requests: usize,
        /// The time in the engine.
        compute: Duration,
    },
    /// A request that had run in a batch was run again alone, and the answers were compared.
    BatchVerified {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// True when the answers agree.
        agrees: bool,
    },
    /// The watchdog asked the engine to end a run that took too long.
    RunTerminated {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// `deadline`, `limit` or `shutdown`.
        reason: &'static str,
    },
    /// The number of stuck instances of a version changed: those whose run goes on although the
    /// engine was asked to end it.
    InstancesStuck {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// The stuck instances now.
        n_stuck: usize,
    },
    /// A rollout changed its state.
    RolloutTransitioned {
        /// Its name.
        rollout: &'a str,
        /// The model.
        model: &'a ModelName,
        /// The name of the state before.
        from: &'static str,
        /// The name of the state now.
        to: &'static str,
        /// The reason, as one of a closed list of words.
        reason: &'static str,
    },
    /// A notification of a rollout was sent, or was given up.
    RolloutNotified {
        /// The model.
        model: &'a ModelName,
        /// The outcome of the delivery, as one of a closed list of words.
        outcome: &'static str,
    },
    /// The store of shared rollouts was called, about once a second.
    SharedStateChecked {
        /// True when it answered.
        is_reachable: bool,
    },
    /// The evidence of a rollout was updated, about once a second.
    RolloutMeasured(&'a RolloutReading<'a>),
    /// The scheduling of every version that serves, sent before each
    /// [`exposition`](crate::Observe::exposition); a version that is missing has stopped serving.
    SchedulingMeasured(&'a [SchedulingReading<'a>]),
    /// A protocol server answered a call of any kind.
    CallFinished {
        /// The dialect: `native`, `open_inference`, `grpc`, ...
        dialect: &'static str,
        /// The stable code of the error, `None` for success.
        error: Option<Code>,
        /// The time from the head of the request to the head of the reply.
        latency: Duration,
    },
}

/// State and evidence of a rollout. Scores are natural logarithms.
#[derive(Clone, Debug)]
pub struct RolloutReading<'a> {
    /// Its name.
    pub rollout: &'a str,
    /// The model.
    pub model: &'a ModelName,
    /// The name of its state.
    pub state: &'static str,
    /// The arms with their traffic weights.
    pub weights: [(&'static str, f64); 2],
    /// Each score of each metric, with its limit.
    pub scores: Vec<RolloutScore<'a>>,
    /// Each rate or mean of each metric.
    pub rates: Vec<RolloutRate<'a>>,
    /// The evidence of a sample-ratio mismatch: the units per arm do not follow the weights.
    pub mismatch: f64,
    /// Shadow requests with the same answer from both arms, since the start.
    pub n_agreeing: u64,
    /// Shadow requests with different answers, since the start.
    pub n_differing: u64,
    /// Shadow requests that were dropped since the start, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    /// Requests without a unit where the rollout looks for it, since the start.
    pub n_without_unit: u64,
}

/// One score of a metric.
#[derive(Clone, Copy, Debug)]
pub struct RolloutScore<'a> {
    /// The metric.
    pub metric: &'a str,
    /// `worse_start`, `worse_step` or `not_worse`.
    pub kind: &'static str,
    /// The score.
    pub value: f64,
    /// The limit for the score.
    pub limit: f64,
}

/// The rate of one metric in one arm.
#[derive(Clone, Copy, Debug)]
pub struct RolloutRate<'a> {
    /// The metric.
    pub metric: &'a str,
    /// `stable` or `candidate`.
    pub arm: &'static str,
    /// The rate or the mean; `None` without data.
    pub value: Option<f64>,
    /// The interval of the rate, lower and upper.
    pub interval: Option<(f64, f64)>,
}
