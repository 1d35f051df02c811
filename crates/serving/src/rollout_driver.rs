//! Rollouts of a running server, from the rollout file to the version that has won.
//!
//! Decision: the driver is thin. The state machine ([`rollout::state`]) makes every decision; the
//! driver supplies its counts, applies its actions, and persists what must survive a kill. Each
//! rollout is a task of its own; the registry knows all of them, including those that have ended.

mod baseline_alarm;
mod budget;
mod compatibility;
mod counter_deltas;
mod documents;
mod followed_rollout;
mod leader_state;
mod notification_sender;
mod notifications;
mod record;
mod registry;
mod replicas;
mod shadow_comparison;
mod shadow_runner;
mod snapshot;
mod task;
mod traffic_control;
mod warmup;

use std::sync::Arc;
use std::time::Duration;

use contract::{
    BoxFuture, Code, DeliveryOutcome, Error, GateDecision, Observe, RawJson, Result, Webhooks,
};

use traffic_control::TrafficControl;

pub(crate) use record::Records;
pub(crate) use registry::{Registry, RepositoryHandle, Restored};

/// Dependencies shared by all rollouts.
#[derive(Debug)]
pub(crate) struct Dependencies {
    traffic_control: TrafficControl,
    records: Records,
    webhooks: Arc<dyn Webhooks>,
    observe: Arc<dyn Observe>,
    /// Time between two samples of the counters.
    block: Duration,
    /// Address at which others reach this server.
    public_url: Option<String>,
}

/// Webhooks of a server that has none: no gate is queried and no notification is sent.
#[derive(Debug)]
pub(crate) struct NoWebhooks;

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
    ) -> BoxFuture<'a, GateDecision> {
        Box::pin(async { GateDecision::Wait })
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
