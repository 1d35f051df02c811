//! Rollouts: their status, verdict and transitions, and the bodies of calls about them.

mod evidence;
mod guard_query;
mod state;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use evidence::{
    ArmReport, ArmsReport, DifferenceReport, GuardReport, Interval, MetricAction, MetricReport,
    MismatchReport, Report, RolloutReport, ShadowReport, SoakReport,
};
pub use guard_query::GuardQueryStatus;
pub use state::{ArmName, GuardKind, RolloutState};

/// The state of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rollout)]
pub struct Status {
    /// The name of the rollout.
    pub id: String,
    /// The number of the run of this name, from 1.
    #[serde(default = "first_run")]
    #[schema(required, minimum = 1)]
    pub run: u64,
    /// The model.
    pub model: String,
    /// The state.
    pub state: RolloutState,
    /// The index of the step from 0, also while held in it.
    #[schema(required)]
    pub step: Option<usize>,
    /// The number of steps.
    #[serde(default)]
    #[schema(required)]
    pub n_steps: usize,
    /// The traffic weight of the candidate.
    #[schema(minimum = 0, maximum = 1)]
    pub weight: f64,
    /// Grows with every transition.
    pub generation: u64,
    /// Grows whenever the evidence begins again.
    pub epoch: u64,
    /// The time of the last transition.
    #[schema(format = DateTime)]
    pub since: String,
    /// The reason for the hold or the end.
    #[schema(required)]
    pub reason: Option<String>,
    /// The verdict, for whoever promotes or rolls back by it.
    pub verdict: Verdict,
    /// Stable and candidate.
    pub arms: [ArmStatus; 2],
    /// The counts and the evidence that the next weight still lacks, while there may be one.
    pub missing: Vec<String>,
    /// The gate that is asked, while the rollout is held for one.
    #[serde(default)]
    #[schema(required)]
    pub gate: Option<GateStatus>,
    /// The Prometheus queries of guards, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard_queries: Vec<GuardQueryStatus>,
    /// Warnings for the operator; only in the reply to a start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Set while the store of shared rollouts is unreachable, with the time since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_state: Option<String>,
}

/// The run of a name that was used once.
fn first_run() -> u64 {
    1
}

/// A gate that is asked before the next weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutGate)]
pub struct GateStatus {
    /// The gate in the words of the rollout file, such as `webhook before step_20`.
    pub name: String,
    /// The last answer, in a few words.
    #[schema(required)]
    pub last_answer: Option<String>,
    /// The time of the last question; of a manual gate, the time since which it is waited for.
    #[schema(required, format = DateTime)]
    pub asked_at: Option<String>,
}

/// One version of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutArm)]
pub struct ArmStatus {
    /// The part of the version in the rollout.
    pub name: ArmName,
    /// The version.
    pub version: String,
    /// The traffic weight.
    #[schema(minimum = 0, maximum = 1)]
    pub weight: f64,
}

/// The verdict on a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Verdict)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is worse than stable.
    Worse,
    /// It is not worse.
    NotWorse,
    /// There is too little evidence.
    Unknown,
}

impl Verdict {
    /// Returns the verdict as a number, for other tools.
    #[must_use]
    pub fn value(self) -> i8 {
        match self {
            Self::Worse => -1,
            Self::Unknown => 0,
            Self::NotWorse => 1,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The verdict on a rollout as a number, for other tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// 1 for not worse and completed, 0 for unknown, -1 for rolled back, failed and aborted.
    #[schema(minimum = -1, maximum = 1)]
    pub value: i8,
    /// The state of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub state: Option<RolloutState>,
    /// The reason for an unknown verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// One transition of a rollout, with the evidence of that time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutTransition)]
pub struct Transition {
    /// The time.
    #[schema(format = DateTime)]
    pub at: String,
    /// The state before.
    pub from: RolloutState,
    /// The state after.
    pub to: RolloutState,
    /// The index of the step after, from 0, also while held in it.
    #[serde(default)]
    #[schema(required)]
    pub step: Option<usize>,
    /// The number of steps.
    #[serde(default)]
    #[schema(required)]
    pub n_steps: usize,
    /// The reason.
    pub reason: String,
    /// An operator, or `lockgate`.
    pub actor: String,
    /// The generation after the transition.
    pub generation: u64,
    /// The evidence at that time.
    pub evidence: Report,
}

/// The arm of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// The name of the rollout.
    pub rollout: String,
    /// The unit.
    pub unit: String,
    /// `outside` for a unit that does not take part.
    pub arm: AssignedArm,
    /// The number that the unit is hashed to.
    pub bucket: u64,
}

/// The arm of a unit in a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssignedArm {
    /// Stable.
    Stable,
    /// The candidate.
    Candidate,
    /// Neither: the unit does not take part.
    Outside,
}

/// The reason for an operator action, and the generation that the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OperatorAction)]
#[serde(deny_unknown_fields)]
pub struct ActionBody {
    /// The reason, for the history.
    #[serde(default)]
    pub reason: String,
    /// The generation that the caller has seen; refused when it has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation: Option<u64>,
}

/// A rollout, as `file` or as `rollout`, and the assumed traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[schema(as = SimulationInput)]
#[serde(deny_unknown_fields)]
pub struct SimulationBody {
    /// The text of a rollout file.
    #[schema(nullable = false)]
    pub file: Option<String>,
    /// The contents of the file, as an object.
    #[schema(value_type = Option<Object>, nullable = false)]
    pub rollout: Option<Value>,
    /// Requests for the model each second, 100 when left out.
    #[serde(default = "default_rps")]
    pub rps: f64,
    /// Events per request of stable, by metric.
    #[serde(default)]
    pub stable_rates: BTreeMap<String, f64>,
    /// The same of the candidate.
    #[serde(default)]
    pub candidate_rates: BTreeMap<String, f64>,
    /// The number of runs, 1000 when left out, at most 10000.
    #[serde(default = "default_runs")]
    #[schema(minimum = 1, maximum = 10000)]
    pub runs: usize,
    /// The seed; the same seed gives the same numbers.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

/// The default of the command line.
fn default_rps() -> f64 {
    100.0
}

/// The default of the command line.
fn default_runs() -> usize {
    1000
}

/// The default of the command line.
fn default_seed() -> u64 {
    1
}

/// The summary of many simulated runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutSimulation)]
pub struct SimulationSummary {
    /// The number of runs.
    pub n_runs: usize,
    /// The share of runs that ended with all traffic on the candidate.
    #[schema(minimum = 0, maximum = 1)]
    pub p_promote: f64,
    /// The share of runs that were rolled back.
    #[schema(minimum = 0, maximum = 1)]
    pub p_rollback: f64,
    /// The share of runs that were held, or not decided in time.
    #[schema(minimum = 0, maximum = 1)]
    pub p_held: f64,
    /// The duration of the runs, in seconds.
    pub duration_seconds: Quantiles,
    /// Requests that the candidate answered.
    pub candidate_requests: Quantiles,
    /// Errors among them, which users saw.
    pub failed_requests: Quantiles,
}

/// A distribution in four numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    /// The 10th percentile.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The maximum.
    pub max: f64,
}

/// The request of Flagger; other keys are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct FlaggerHook {
    /// The metadata of the webhook in the canary.
    #[serde(default)]
    #[schema(required)]
    pub metadata: FlaggerMetadata,
}

/// The metadata of a webhook in a canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(expecting = "expected an object with `rollout`")]
pub struct FlaggerMetadata {
    /// The name of a rollout.
    #[schema(required, nullable = false)]
    pub rollout: Option<String>,
}
