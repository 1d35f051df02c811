//! Loading of the candidate on a server that applies a shared rollout.
//!
//! Rule: the candidate gets no traffic before it is ready here. Recovery: a load that failed is
//! repeated after some seconds, because its files may not have arrived yet.

use std::time::Duration;

use contract::{Error, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::traffic_control::TrafficControl;
use crate::config::RolloutConfig;

/// Time between two attempts.
const RETRY: Duration = Duration::from_secs(10);

/// The load of the candidate.
#[derive(Debug)]
pub(super) struct CandidateLoader {
    load: Option<JoinHandle<Result<()>>>,
    next_load: Instant,
}

impl CandidateLoader {
    /// Creates a loader that has not tried yet.
    pub(super) fn new() -> Self {
        Self {
            load: None,
            next_load: Instant::now(),
        }
    }

    /// Returns whether the candidate is ready; when it is not, tries to load it and returns the
    /// error of the last attempt.
    pub(super) async fn check(
        &mut self,
        traffic_control: &dyn TrafficControl,
        config: &RolloutConfig,
    ) -> (bool, Result<()>) {
        let RolloutConfig {
            model, candidate, ..
        } = config;
        if traffic_control.ready_version(model, candidate).is_some() {
            self.load = None;
            return (true, Ok(()));
        }
        if let Some(load) = self.load.take_if(|load| load.is_finished()) {
            let ended = |error| Error::internal(format!("failed to load the candidate: {error}"));
            let loaded = load.await.map_err(ended).and_then(|loaded| loaded);
            return (false, loaded);
        }
        if self.load.is_none() && Instant::now() >= self.next_load {
            self.next_load = Instant::now() + RETRY;
            self.load = Some(tokio::spawn(
                traffic_control.ensure_loaded(config, candidate),
            ));
        }
        (false, Ok(()))
    }
}
