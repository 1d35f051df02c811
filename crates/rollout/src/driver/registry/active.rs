//! The running rollout of a model.

use contract::{ModelName, Version};

use super::Registry;
use crate::config::RolloutConfig;

/// The running rollout of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRollout {
    /// The name of the rollout.
    pub id: String,
    /// The version on trial.
    pub candidate: Version,
}

impl Registry {
    /// Returns the running rollout of a model.
    #[must_use]
    pub fn active(&self, model: &ModelName) -> Option<ActiveRollout> {
        let handles = self.handles.load();
        let (id, handle) = handles
            .iter()
            .find(|(_, handle)| handle.model == *model && !handle.snapshot().is_final())?;
        // The file was read when the rollout started.
        let config = RolloutConfig::parse(&handle.file).ok()?;
        Some(ActiveRollout {
            id: id.clone(),
            candidate: config.candidate,
        })
    }
}
