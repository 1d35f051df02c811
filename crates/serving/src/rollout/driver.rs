//! The driver: rollouts of a running server, from a file to the version that has won.
//!
//! Decision: the driver is thin. What is decided, the state machine decides ([`super::state`]); here
//! are the counts that it gets, the deeds that follow, and what is kept over a kill. Each rollout is
//! a task of its own; this registry knows all of them, also those that have ended.

mod budget;
mod burning;
mod copies;
mod course;
mod fit;
mod helm;
mod meter;
mod notices;
mod pairs;
mod record;
mod registry;
mod replicas;
mod told;
mod trail;
mod view;
mod warmup;

use std::sync::Arc;
use std::time::Duration;

use contract::{
    BoxFuture, Code, Delivery, Document, Error, GateAnswer, Gatekeeper, Observe, Result,
};

use helm::Helm;

pub(crate) use record::Records;
pub(crate) use registry::{Past, Reach, Registry};

/// What every rollout works with.
#[derive(Debug)]
pub(crate) struct Tools {
    helm: Helm,
    records: Records,
    gatekeeper: Arc<dyn Gatekeeper>,
    observe: Arc<dyn Observe>,
    /// From one look at the counts to the next.
    block: Duration,
    /// Where others reach this server.
    public_url: Option<String>,
}

/// Asks no gate and tells nobody: for servers that were given nothing to do so with.
#[derive(Debug)]
pub(crate) struct NoGatekeeper;

impl Gatekeeper for NoGatekeeper {
    fn check(&self, url: &str) -> Result<()> {
        Err(Error::new(
            Code::Unsupported,
            format!("this server calls no webhooks, so not `{url}`"),
        ))
    }

    fn ask<'a>(
        &'a self,
        _url: &'a str,
        _status: &'a Document,
        _timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        Box::pin(async { GateAnswer::Wait })
    }

    fn tell<'a>(
        &'a self,
        _url: &'a str,
        _message: &'a Document,
        _timeout: Duration,
    ) -> BoxFuture<'a, Delivery> {
        Box::pin(async { Delivery::Refused("this server posts nothing".to_owned()) })
    }
}
