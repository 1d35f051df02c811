//! Rollout files in model folders, for the task that starts their rollouts.

use std::collections::BTreeMap;

use contract::{ModelName, NewVersions};

use super::RepositoryState;
use crate::control::snapshot::FolderRollout;

impl RepositoryState {
    /// Returns the rollout file of each model that has one.
    pub(super) fn rollout_files(&self) -> BTreeMap<ModelName, FolderRollout> {
        let mut files = BTreeMap::new();
        for (name, model) in &self.models {
            let found = model.found.as_ref();
            if let Some(file) = found.and_then(|found| found.rollout_file.clone()) {
                let has_waiting_versions = model.new_versions == NewVersions::Wait;
                files.insert(
                    name.clone(),
                    FolderRollout {
                        file,
                        has_waiting_versions,
                    },
                );
            }
        }
        files
    }
}
