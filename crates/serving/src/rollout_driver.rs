//! The driver: rollouts of a running server, from a file to the version that has won.
//!
//! Decision: the driver is thin. What is decided, the state machine decides ([`super::state`]); here
//! are the counts that it gets, the deeds that follow, and what is kept over a kill. Each rollout is
//! a task of its own; this registry knows all of them, also those that have ended.

mod baseline_alarm;
mod budget;
mod compatibility;
mod counter_deltas;
mod followed_rollout;
mod leader_state;
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

/// What every rollout works with.
#[derive(Debug)]
pub(crate) struct Dependencies {
    traffic_control: TrafficControl,
    records: Records,
    webhooks: Arc<dyn Webhooks>,
    observe: Arc<dyn Observe>,
    /// From one look at the counts to the next.
    block: Duration,
    /// Where others reach this server.
    public_url: Option<String>,
}

/// Asks no gate and tells nobody: for servers that were given nothing to do so with.
#[derive(Debug)]
pub(crate) struct NoWebhooks;

impl Webhooks for NoWebhooks {
    fn check(&self, url: &str) -> Result<()> {
        Err(Error::new(
            Code::Unsupported,
            format!("this server calls no webhooks, so not `{url}`"),
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
        Box::pin(async { DeliveryOutcome::Refused("this server posts nothing".to_owned()) })
    }
}
