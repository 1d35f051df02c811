//! Access of rollouts to the versions and the traffic of a server.
//!
//! Decision: two traits over plain data. The driver knows neither how a version is loaded nor how a
//! request is counted or copied; the server knows nothing of evidence and states.

use std::fmt;
use std::time::Duration;

use contract::{BoxFuture, ModelName, Result, Routing, SharedModelInfo, Version};
use stats::assignment::Assigner;

use super::counter_deltas::Totals;
use super::observations::{Arms, Observations};
use super::pair_totals::PairTotals;
use crate::config::{RolloutConfig, Warmup};
use crate::state::{Availability, Traffic};
use crate::timestamp::Timestamp;

/// Versions and routing of a server. The registry and the rollout tasks call it.
pub trait TrafficControl: fmt::Debug + Send + Sync {
    /// Returns a version, when it is ready.
    fn ready_version(&self, model: &ModelName, version: &Version) -> Option<ReadyVersion>;

    /// Returns the availability of a version.
    fn availability(&self, model: &ModelName, version: &Version) -> Availability;

    /// Returns the failed loads of a version; `None` when the last one succeeded.
    fn failed_loads(&self, model: &ModelName, version: &Version) -> Option<FailedLoads>;

    /// Returns the versions that a model has, ready or not.
    fn versions(&self, model: &ModelName) -> Vec<Version>;

    /// Looks for new versions now instead of soon.
    ///
    /// # Errors
    /// `unavailable` when the repository does not answer.
    fn rescan(&self) -> BoxFuture<'_, Result<()>>;

    /// Returns the current routing of a model.
    ///
    /// # Errors
    /// `model_not_found`.
    fn routing(&self, model: &ModelName) -> Result<Routing>;

    /// Returns the version that answers the requests of a model that name none.
    fn default_version(&self, model: &ModelName) -> Option<Version>;

    /// Creates the traffic of a rollout with this weight of the candidate at this time. It has no effect before
    /// [`RolloutTraffic::apply`], unless the server has applied it since its start because the
    /// rollout was restored.
    ///
    /// # Errors
    /// `invalid_request` when the configuration has no valid split.
    fn traffic(
        &self,
        config: &RolloutConfig,
        weight: f64,
        now: Timestamp,
    ) -> Result<Box<dyn RolloutTraffic>>;

    /// Loads a version for a rollout; resolves when it is ready.
    ///
    /// # Errors
    /// The error of the load.
    fn ensure_loaded(
        &self,
        config: &RolloutConfig,
        version: &Version,
    ) -> BoxFuture<'static, Result<()>>;

    /// Returns control of the model to operators. A version in `warm` stays loaded for its time,
    /// which does not keep the server running.
    ///
    /// # Errors
    /// `internal` when the result cannot be persisted.
    fn finish<'a>(
        &'a self,
        config: &'a RolloutConfig,
        winner: Version,
        warm: Option<(Version, Duration)>,
    ) -> BoxFuture<'a, Result<()>>;
}

/// Traffic of one rollout on one server: its split, the counters of its arms, and the copies of
/// requests for the candidate. The task of the rollout owns it.
pub trait RolloutTraffic: fmt::Debug + Send + Sync {
    /// Returns the assignment of units at the current weight.
    fn assigner(&self) -> &Assigner;

    /// Returns the totals of all requests since the start.
    fn totals(&self) -> Totals;

    /// Returns the number of shared counts in the last totals; 0 for the traffic of one server.
    fn n_counted(&self) -> u64 {
        0
    }

    /// Returns the observations since the last call, for each weight that has some.
    fn take_observations(&mut self) -> Vec<Observations>;

    /// Returns the longest run of consecutive errors in each arm since the last call.
    fn take_longest_error_runs(&self) -> Arms<u64>;

    /// Returns the totals of pairs of answers to requests that both versions ran.
    fn pairs(&self) -> PairTotals;

    /// Returns the number of shadow requests that were dropped, by reason.
    fn dropped(&self) -> Vec<(&'static str, u64)>;

    /// Returns the number of requests without a unit.
    fn n_without_unit(&self) -> u64;

    /// Sets the weight of the candidate, the share of shadow requests and the assignment epoch;
    /// effective with the next [`Self::apply`].
    ///
    /// # Errors
    /// `invalid_request` when the weight gives no valid split; the earlier weight stays.
    fn set(&mut self, traffic: Traffic, assignment_epoch: u64) -> Result<()>;

    /// Starts a warm-up of the candidate; copies of requests arrive with the next [`Self::apply`].
    /// The future resolves when the warm-up has ended, with the reason when it failed.
    fn start_warmup(&mut self, rule: Warmup) -> BoxFuture<'static, Result<(), String>>;

    /// Ends the copying of requests for a warm-up; effective with the next [`Self::apply`]. Returns
    /// whether requests were copied.
    fn end_warmup(&mut self) -> bool;

    /// Applies the traffic; resolves when new requests are routed by it.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout controls the model.
    fn apply(&self) -> BoxFuture<'_, Result<()>>;
}

/// The failed loads of a version, also those of new files while the old ones are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLoads {
    /// The number since the version was found.
    pub n: u64,
    /// The error of the last one.
    pub last: String,
}

/// A version that is ready.
#[derive(Clone, Debug)]
pub struct ReadyVersion {
    /// Its description.
    pub info: SharedModelInfo,
    /// Growth of the process during the load in bytes; `None` where that cannot be measured.
    pub memory_bytes: Option<u64>,
}
