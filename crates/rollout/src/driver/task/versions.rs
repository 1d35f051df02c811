//! Observations of the two versions of a rollout: their availability, files and memory.
//!
//! Decision: each is read from the published state of the repository, so that no sample waits.

use contract::Version;

use super::RolloutTask;
use crate::driver::traffic_control::{FailedLoads, ReadyVersion};
use crate::state::{Availability, Event};

impl RolloutTask {
    pub(super) fn availability(&self, version: &Version) -> Availability {
        let model = &self.rollout.config().model;
        let traffic_control = &self.dependencies.traffic_control;
        traffic_control.availability(model, version)
    }

    /// Returns the memory of the candidate as a multiple of that of stable, where both were
    /// measured.
    pub(super) fn memory_ratio(&self) -> Option<f64> {
        let config = self.rollout.config();
        let memory = |version| Some(self.ready_version(version)?.memory_bytes? as f64);
        let (stable, candidate) = (memory(&config.stable)?, memory(&config.candidate)?);
        (stable > 0.0).then(|| candidate / stable)
    }

    /// Returns an event when the files of the candidate were replaced.
    pub(super) fn changed_candidate(&mut self) -> Option<Event> {
        let ready = self.ready_version(&self.rollout.config().candidate)?;
        // Files that went after they were opened are followed by another load.
        let hash = ready.info.content_hash.clone()?;
        let before = self.record.content_hash.replace(hash.clone());
        before
            .is_some_and(|before| before != hash)
            .then_some(Event::CandidateChanged)
    }

    pub(super) fn failed_loads(&self) -> Option<FailedLoads> {
        let config = self.rollout.config();
        let traffic_control = &self.dependencies.traffic_control;
        traffic_control.failed_loads(&config.model, &config.candidate)
    }

    /// Returns an event when loads of the candidate have failed since the last call.
    pub(super) fn new_failed_loads(&mut self) -> Option<Event> {
        let failed = self.failed_loads()?;
        let n = failed.n.saturating_sub(self.n_failed_loads);
        self.n_failed_loads = failed.n;
        let error = failed.last;
        (n > 0).then_some(Event::LoadFailed { n, error })
    }

    /// Returns a version of the model, when it is ready.
    fn ready_version(&self, version: &Version) -> Option<ReadyVersion> {
        let model = &self.rollout.config().model;
        self.dependencies
            .traffic_control
            .ready_version(model, version)
    }
}
