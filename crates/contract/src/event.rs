//! Everything that can be observed, in one enum: the only input of `monitor`.

use std::time::Duration;

use crate::control::VersionState;
use crate::error::Code;
use crate::model::{ModelName, Version};
use crate::response::Timings;
use crate::scheduling::SchedulingReading;

/// Something that happened.
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
        /// How long loading took, on the way to `Ready`.
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
        /// Whether [`Event::RequestAdmitted`] came before.
        was_admitted: bool,
        /// `None` when it was answered, otherwise why not.
        error: Option<Code>,
        /// From validation to the answer.
        latency: Duration,
        /// Where the time went, when it ran.
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
        /// The run of the engine.
        compute: Duration,
    },
    /// A request that had run in a batch was run again alone, and the answers were compared.
    BatchVerified {
        /// The model.
        model: &'a ModelName,
        /// The version.
        version: &'a Version,
        /// Whether the answers agree.
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
    /// A rollout moved.
    RolloutTransitioned {
        /// Its name.
        rollout: &'a str,
        /// The model.
        model: &'a ModelName,
        /// The name of the state before.
        from: &'static str,
        /// The name of the state now.
        to: &'static str,
        /// Why, as one of a closed list of words.
        reason: &'static str,
    },
    /// Somebody was told that a rollout went back, or will not be told.
    RolloutNotified {
        /// The model.
        model: &'a ModelName,
        /// What became of it, as one of a closed list of words.
        outcome: &'static str,
    },
    /// What is known about a rollout, about once a second.
    RolloutMeasured(&'a RolloutReading<'a>),
    /// How every version that serves takes requests right now, told before each
    /// [`exposition`](crate::Observe::exposition); what is not among them serves no more.
    SchedulingMeasured(&'a [SchedulingReading<'a>]),
    /// A protocol server answered a call, whatever it was.
    CallFinished {
        /// The dialect: `native`, `open_inference`, `grpc`, ...
        dialect: &'static str,
        /// The stable code of the error, `None` for success.
        error: Option<Code>,
        /// From the head of the request to the head of the reply.
        latency: Duration,
    },
}

/// What is known about a rollout. Scores are logarithms.
#[derive(Clone, Debug)]
pub struct RolloutReading<'a> {
    /// Its name.
    pub rollout: &'a str,
    /// The model.
    pub model: &'a ModelName,
    /// The name of its state.
    pub state: &'static str,
    /// The arms, with their share of the traffic.
    pub weights: [(&'static str, f64); 2],
    /// Each score of each metric beside its limit.
    pub scores: Vec<RolloutScore<'a>>,
    /// Each rate or mean of each metric.
    pub rates: Vec<RolloutRate<'a>>,
    /// The evidence that the arms do not get the units that their weights promise.
    pub mismatch: f64,
    /// Pairs of answers that agreed, since the start.
    pub n_agreeing: u64,
    /// Pairs of answers that differed, since the start.
    pub n_differing: u64,
    /// Copies that were dropped since the start, by reason.
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
    /// What it is held against.
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
