//! The published rows of models and versions.
//!
//! Decision: a row tells the state of a version in the words of people; what routing needs of it is
//! plain data beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{ModelName, Version, VersionState};

use super::super::plan::VersionProgress;
use super::super::snapshot::{ServedVersion, Snapshot};
use super::{Model, RepositoryState};
use crate::route::{ModelRow, RoutingTable, VersionRow};

impl RepositoryState {
    /// Builds the snapshot for readers.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut models = BTreeMap::new();
        for (name, model) in &self.models {
            let row = self.row(name, model);
            if model.found.is_some() || !row.versions.is_empty() {
                models.insert(name.clone(), row);
            }
        }
        Snapshot {
            table: RoutingTable { models },
            draining: self.draining.values().cloned().collect(),
            roots: self.roots.clone(),
            rollout_files: self.rollout_files(),
        }
    }

    fn row(&self, name: &ModelName, model: &Model) -> ModelRow<Arc<ServedVersion>> {
        let mut versions = BTreeMap::new();
        for (version, reason) in &model.plan.idle {
            versions.insert(version, (VersionState::Unavailable, reason.clone()));
        }
        for draining in self
            .draining
            .values()
            .filter(|draining| draining.model == *name)
        {
            let reason = "it answers the requests that it accepted".to_owned();
            versions.insert(&draining.version, (VersionState::Unloading, reason));
        }
        for (version, record) in &model.progress.versions {
            let (state, reason) = version_state(record);
            let waits = || model.waiting_reason(version);
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            versions.insert(version, (state, reason.or_else(waits).unwrap_or_default()));
        }
        ModelRow {
            reason: problem(model),
            is_required: model.is_required,
            rules: model.rules(),
            versions: versions
                .into_iter()
                .map(|(version, (state, reason))| VersionRow {
                    version: version.clone(),
                    state,
                    reason,
                    handle: model
                        .serving
                        .get(version)
                        .map(|serving| Arc::clone(&serving.served)),
                    failed_loads: model.failed_loads(version),
                    is_lost: model.lost.contains(version),
                })
                .collect(),
        }
    }
}

impl Model {
    /// Returns the number of failed loads of a version, and the error of the last one.
    fn failed_loads(&self, version: &Version) -> Option<(u64, String)> {
        let record = self.progress.versions.get(version)?;
        let (_, error) = record.failed.as_ref()?;
        Some((record.n_failed_loads, error.message().to_owned()))
    }
}

/// Describes the problem of the settings or, while other versions serve, of failed versions.
fn problem(model: &Model) -> String {
    if !model.plan.reason.is_empty() || model.serving.is_empty() {
        return model.plan.reason.clone();
    }
    let versions = model.progress.versions.iter();
    let failures: Vec<_> = versions
        .filter_map(|(version, record)| {
            let (_, error) = record.failed.as_ref()?;
            Some(format!("version {version}: {}", error.message()))
        })
        .collect();
    failures.join("; ")
}

/// Returns state and reason of a version that is meant to be served.
fn version_state(record: &VersionProgress) -> (VersionState, String) {
    let failure = record.failed.as_ref().map(|(_, error)| error.message());
    match (&record.serving, &record.loading, failure) {
        (Some(_), _, None) => (VersionState::Ready, String::new()),
        (Some(_), _, Some(failure)) => (
            VersionState::Ready,
            format!("the files have changed and failed to load; the old version stays: {failure}"),
        ),
        (None, Some(_), _) => (VersionState::Loading, "it is being loaded".to_owned()),
        (None, None, Some(failure)) => (VersionState::Unavailable, failure.to_owned()),
        (None, None, None) => (
            VersionState::Loading,
            "its files have changed a moment ago; it is loaded once they stay the same".to_owned(),
        ),
    }
}
