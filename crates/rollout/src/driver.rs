//! Rollouts of a running server, from the rollout file to the version that has won.
//!
//! Decision: the driver is thin. The state machine ([`crate::state`]) makes every decision; the
//! driver supplies its counts, applies its actions, and persists what must survive a kill. Each
//! rollout is a task of its own; the registry knows all of them, including those that have ended.

mod baseline_alarm;
mod blocks;
mod compatibility;
mod counter_deltas;
mod documents;
mod epoch_units;
mod error_runs;
mod folder_files;
mod handles;
mod notification_sender;
mod notifications;
mod observations;
mod pair_totals;
mod record;
mod registry;
mod shared;
mod snapshot;
mod task;
mod traffic_control;

use std::sync::Arc;
use std::time::Duration;

use contract::{
    BoxFuture, Code, DeliveryOutcome, Error, GateAnswer, GateDecision, HttpReply, Observe, RawJson,
    Result, Webhooks,
};

pub use counter_deltas::Totals;
pub use folder_files::{FileKey, FilePlan, FileSituation, StartedFiles};
pub use observations::{Arms, Observations};
pub use pair_totals::PairTotals;
pub use record::Records;
pub use registry::{ActiveRollout, Registry, Restored, conflict};
pub use task::Clock;
pub use traffic_control::{FailedLoads, ReadyVersion, RolloutTraffic, TrafficControl};

/// Dependencies shared by all rollouts.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// Access to the versions and the traffic of this server.
    pub traffic_control: Arc<dyn TrafficControl>,
    /// The stored rollouts.
    pub records: Records,
    /// Client of the webhooks of gates and notifications.
    pub webhooks: Arc<dyn Webhooks>,
    /// Receiver of telemetry events.
    pub observe: Arc<dyn Observe>,
    /// Time between two samples of the counters.
    pub block: Duration,
    /// Address at which others reach this server.
    pub public_url: Option<String>,
}

/// Webhooks of a server that has none: no gate is queried and no notification is sent.
#[derive(Debug)]
pub struct NoWebhooks;

impl Webhooks for NoWebhooks {
    fn check(&self, url: &str) -> Result<()> {
        Err(Error::new(
            Code::Unsupported,
            format!("this server cannot call webhooks, so it cannot call `{url}`"),
        ))
    }

    fn query_gate<'a>(
        &'a self,
        _url: &'a str,
        _status: &'a RawJson,
        _timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        Box::pin(async {
            GateAnswer {
                decision: GateDecision::Wait,
                text: "this server queries no gate".to_owned(),
            }
        })
    }

    fn query_prometheus<'a>(
        &'a self,
        _url: &'a str,
        _query: &'a str,
        _timeout: Duration,
    ) -> BoxFuture<'a, std::result::Result<HttpReply, String>> {
        Box::pin(async { Err("this server calls no other one".to_owned()) })
    }

    fn notify<'a>(
        &'a self,
        _url: &'a str,
        _message: &'a RawJson,
        _timeout: Duration,
    ) -> BoxFuture<'a, DeliveryOutcome> {
        Box::pin(async { DeliveryOutcome::Refused("this server sends nothing".to_owned()) })
    }
}
