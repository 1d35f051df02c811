//! Starts of rollouts, and the checks before them.
//!
//! Decision: everything that can be known to be wrong is refused before any traffic changes, with
//! the path of the key that should change. Two starts never run at once. A start with the contents
//! of the file that runs already is a retry of a call whose answer was lost, and is answered with
//! the status. An id may be used again after its end; each use is a run of its own.

use api::rollout::Status;
use contract::{Code, Error, RawJson, Result, Version};

use super::super::documents::document;
use super::super::epoch_units::EpochUnits;
use super::super::record::Record;
use super::super::snapshot::RolloutHandle;
use super::super::task::Clock;
use super::{Registry, addresses, conflict};
use crate::config::RolloutConfig;
use crate::state::{Availability, Rollout};

impl Registry {
    /// Starts a rollout; returns its status. One that runs already is left alone.
    ///
    /// # Errors
    /// As `Rollouts::start` lists them.
    pub async fn start(&self, file: &str, actor: &str) -> Result<RawJson> {
        let config =
            RolloutConfig::parse(file).map_err(|error| Error::invalid(error.to_string()))?;
        let _only_one = self.starting.lock().await;
        let earlier = self.handles.load().get(&config.id).cloned();
        if let Some(running) = earlier.as_ref().filter(|earlier| !earlier.has_ended()) {
            return status_of_running(&config, running);
        }
        self.check(&config)?;
        self.check_versions(&config).await?;
        let config = config.for_run(earlier.map_or(1, |earlier| earlier.run + 1));
        let warnings = self.warnings(&config);
        let now = Clock::start().now();
        let (rollout, actions) = Rollout::start(config, now);
        let mut record = Record::new(file, actor, now, rollout.progress().clone());
        record.run = rollout.config().run;
        if let Some(exchange) = &self.exchange {
            let notifications = self.notifications_of_start(&rollout, actor, now)?;
            let status = self.start_shared(exchange, &rollout, &record).await?;
            let config = rollout.config();
            self.sender.send((&config.id, &config.model), notifications);
            return with_warnings(status, warnings);
        }
        let traffic = self.traffic(&rollout)?;
        let config = rollout.config();
        let owner = (config.id.as_str(), &config.model);
        let notifications = self.notifications_of_start(&rollout, actor, now)?;
        let sender = &self.sender;
        sender
            .persist(owner, &record, Vec::new(), None, &notifications)
            .await?;
        traffic.apply().await?;
        tracing::info!(rollout = config.id, model = %config.model, actor, "started rollout");
        let status = self.run(rollout, record, EpochUnits::default(), actions, traffic)?;
        with_warnings(status, warnings)
    }

    /// Returns what an operator should know of a rollout that is about to start.
    fn warnings(&self, config: &RolloutConfig) -> Vec<String> {
        let traffic_control = &self.dependencies.traffic_control;
        let RolloutConfig {
            model,
            stable,
            candidate,
            ..
        } = config;
        match traffic_control.default_version(model) {
            Some(answering) if answering == *candidate => vec![format!(
                "candidate `{candidate}` of model `{model}` answered all requests until now; version \
                 `{stable}` answers them from now on. With `new_versions: wait` in `model.yaml` new \
                 versions wait for their rollout"
            )],
            Some(answering) if answering != *stable => vec![format!(
                "version `{answering}` of model `{model}` answered all requests until now; version \
                 `{stable}`, which is `stable` in the rollout, answers them from now on"
            )],
            Some(_) | None => Vec::new(),
        }
    }

    fn check(&self, config: &RolloutConfig) -> Result<()> {
        let handles = self.handles.load();
        let mut running = handles.iter().filter(|(_, handle)| !handle.has_ended());
        if let Some((id, _)) = running.find(|(_, handle)| handle.model == config.model) {
            return Err(conflict(&config.model, id));
        }
        let routing = self.dependencies.traffic_control.routing(&config.model)?;
        if routing.split.is_some() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "model `{}` has a traffic split; remove it first",
                    config.model
                ),
            ));
        }
        addresses::check(config, &*self.dependencies.webhooks)
    }

    /// Checks that both versions are in the repository, and that stable is ready.
    async fn check_versions(&self, config: &RolloutConfig) -> Result<()> {
        let RolloutConfig {
            model,
            stable,
            candidate,
            ..
        } = config;
        let traffic_control = &self.dependencies.traffic_control;
        let availability = |version: &Version| traffic_control.availability(model, version);
        let is_missing = |version: &Version| availability(version) == Availability::Missing;
        if is_missing(stable) || is_missing(candidate) {
            // A version that was copied a moment ago may not have been seen yet.
            traffic_control.rescan().await?;
        }
        for (key, version) in [("stable", stable), ("candidate", candidate)] {
            if is_missing(version) {
                let versions = traffic_control.versions(model);
                let versions: Vec<_> = versions.iter().map(|v| format!("`{v}`")).collect();
                let message = format!(
                    "`rollout.{key}`: model `{model}` has no version `{version}`; it has {}",
                    versions.join(", ")
                );
                return Err(Error::new(Code::VersionNotFound, message));
            }
        }
        match availability(stable) {
            Availability::Ready => Ok(()),
            Availability::Loading | Availability::Failed | Availability::Missing => {
                Err(Error::invalid(format!(
                    "`rollout.stable`: version `{stable}` of model `{model}` is not ready; load it \
                     first"
                )))
            }
        }
    }
}

/// Returns the status of a rollout that runs already, when it has the same configuration.
fn status_of_running(config: &RolloutConfig, running: &RolloutHandle) -> Result<RawJson> {
    let is_same = RolloutConfig::parse(&running.file).is_ok_and(|running| running == *config);
    match is_same {
        true => Ok(running.snapshot().status.clone()),
        false => Err(Error::new(
            Code::Conflict,
            format!(
                "`rollout.id`: `{}` is running with another file; wait until it ends, or abort it",
                config.id
            ),
        )),
    }
}

/// Adds warnings to the status of a rollout.
fn with_warnings(status: RawJson, warnings: Vec<String>) -> Result<RawJson> {
    if warnings.is_empty() {
        return Ok(status);
    }
    for warning in &warnings {
        tracing::warn!(warning, "started rollout with a warning");
    }
    let parsed = serde_json::from_str::<Status>(status.as_str());
    let parsed = parsed.map_err(|error| Error::internal(format!("rollout status: {error}")))?;
    document(&Status { warnings, ..parsed })
}
