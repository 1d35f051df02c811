//! The snapshot of everything served at one moment, as one immutable value.
//!
//! Decision: a version that was removed from the snapshot lives until the last request that was
//! routed to it releases it. The snapshot and the routes hold [`ServedVersion`]; when the last of
//! them is dropped, [`ReleaseSignal`] resolves, and only then is the loaded version stopped. So a
//! swap fails no request.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use contract::{Event, ModelName, ModelStatus, Observe, Version, VersionState, VersionStatus};
use tokio::sync::oneshot;

use super::root_problems::RootProblems;
use crate::catalog::layout::FoundRolloutFile;
use crate::loaded_version::LoadedVersion;
use crate::route::{ModelRow, RoutingTable, VersionRow};

/// A loaded version that accepts requests.
#[derive(Debug)]
pub(crate) struct ServedVersion {
    /// The loaded version.
    pub(crate) loaded_version: Arc<LoadedVersion>,
    /// Time that the load took.
    pub(crate) load_time: Duration,
    /// Name of the model in the form of the access log.
    pub(crate) model: Bytes,
    /// The version in the form of replies.
    pub(crate) version: Bytes,
    /// Growth of the process during the load in bytes; `None` where that cannot be measured.
    pub(crate) memory_bytes: Option<u64>,
    /// Dropped with this value.
    _release: oneshot::Sender<()>,
}

/// Measurements of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Its duration.
    pub(crate) time: Duration,
    /// Growth of the process meanwhile in bytes; `None` where that cannot be measured.
    pub(crate) memory_bytes: Option<u64>,
}

/// Signal that the [`ServedVersion`] was dropped.
#[derive(Debug)]
pub(crate) struct ReleaseSignal(oneshot::Receiver<()>);

impl ServedVersion {
    /// Wraps a version that has just been loaded.
    pub(crate) fn new(
        loaded_version: Arc<LoadedVersion>,
        load: Load,
    ) -> (Arc<Self>, ReleaseSignal) {
        let (release, released) = oneshot::channel();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let served = Self {
            model: bytes(loaded_version.info().model.as_str()),
            version: bytes(loaded_version.info().version.as_str()),
            loaded_version,
            load_time: load.time,
            memory_bytes: load.memory_bytes,
            _release: release,
        };
        (Arc::new(served), ReleaseSignal(released))
    }
}

impl ReleaseSignal {
    /// Waits for the signal.
    pub(crate) async fn wait(self) {
        // Nothing is ever sent: the error that the sender was dropped is the signal.
        self.0.await.unwrap_or_default();
    }
}

/// A version that answers its accepted requests and accepts no new ones.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    /// The model.
    pub(crate) model: ModelName,
    /// The version.
    pub(crate) version: Version,
    /// The loaded version, dropped when it has answered everything.
    pub(crate) loaded_version: Weak<LoadedVersion>,
}

/// Everything served at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Models and versions.
    pub(crate) table: RoutingTable<Arc<ServedVersion>>,
    /// Versions that left the table and have not answered everything.
    pub(crate) draining: Vec<Draining>,
    /// Problems of the roots.
    pub(crate) roots: RootProblems,
    /// Rollout files in model folders.
    pub(crate) rollout_files: BTreeMap<ModelName, FolderRollout>,
}

/// The rollout file in the folder of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderRollout {
    /// The file.
    pub(crate) file: FoundRolloutFile,
    /// True when new versions wait, so that the file can start their rollouts.
    pub(crate) has_waiting_versions: bool,
}

impl Snapshot {
    /// Returns the status of one model in the form of `Catalog`.
    pub(crate) fn status(
        &self,
        name: &ModelName,
        row: &ModelRow<Arc<ServedVersion>>,
    ) -> ModelStatus {
        let versions = row.versions.iter();
        ModelStatus {
            name: name.clone(),
            reason: row.reason.clone(),
            versions: versions.map(|row| self.version_status(name, row)).collect(),
            routing: row.rules.routing(),
            warnings: Vec::new(),
        }
    }

    fn version_status(
        &self,
        model: &ModelName,
        row: &VersionRow<Arc<ServedVersion>>,
    ) -> VersionStatus {
        let served = row
            .handle
            .as_ref()
            .map(|served| Arc::clone(&served.loaded_version));
        let leaving = self.draining.iter().filter_map(|draining| {
            let is_it = draining.model == *model && draining.version == row.version;
            is_it.then(|| draining.loaded_version.upgrade()).flatten()
        });
        let loaded_versions: Vec<_> = served.into_iter().chain(leaving).collect();
        let stuck = match row.state {
            VersionState::Ready => loaded_versions
                .first()
                .and_then(|loaded_version| loaded_version.stuck_reason()),
            VersionState::Loading | VersionState::Unloading | VersionState::Unavailable => None,
        };
        VersionStatus {
            version: row.version.clone(),
            state: match stuck {
                Some(_) => VersionState::Unavailable,
                None => row.state,
            },
            reason: stuck.unwrap_or_else(|| row.reason.clone()),
            info: loaded_versions
                .first()
                .map(|loaded_version| Arc::clone(loaded_version.info())),
            n_in_flight: loaded_versions
                .iter()
                .map(|loaded_version| loaded_version.n_in_flight())
                .sum(),
            scheduling: loaded_versions
                .first()
                .map(|loaded_version| loaded_version.scheduling()),
        }
    }

    /// Returns every loaded version that may still have requests.
    pub(crate) fn loaded_versions(&self) -> Vec<Arc<LoadedVersion>> {
        let models = self.table.models.values();
        let rows = models.flat_map(|model| &model.versions);
        let served = rows.filter_map(|row| row.handle.as_ref());
        let draining = self.draining.iter();
        served
            .map(|served| Arc::clone(&served.loaded_version))
            .chain(draining.filter_map(|draining| draining.loaded_version.upgrade()))
            .collect()
    }

    /// Reports the changes since `before`.
    pub(crate) fn report_changes(&self, before: &Self, observe: &dyn Observe) {
        for (model, row) in &self.table.models {
            for row in &row.versions {
                let old = before.version(model, &row.version);
                if let Some(event) = change(model, row, old) {
                    observe.observe(&event);
                }
            }
        }
        for (model, row) in &before.table.models {
            for VersionRow { version, .. } in &row.versions {
                if self.version(model, version).is_none() {
                    observe.observe(&Event::VersionRemoved { model, version });
                }
            }
        }
    }

    fn version(
        &self,
        model: &ModelName,
        version: &Version,
    ) -> Option<&VersionRow<Arc<ServedVersion>>> {
        let versions = &self.table.models.get(model)?.versions;
        versions.iter().find(|row| row.version == *version)
    }
}

fn change<'a>(
    model: &'a ModelName,
    row: &'a VersionRow<Arc<ServedVersion>>,
    old: Option<&VersionRow<Arc<ServedVersion>>>,
) -> Option<Event<'a>> {
    let is_same_state = old.is_some_and(|old| old.state == row.state);
    let old = old.and_then(|old| old.handle.as_ref());
    let is_same_loaded_version = match (&row.handle, old) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let load_time = row.handle.as_ref().map(|served| served.load_time);
    (!is_same_state || !is_same_loaded_version).then_some(Event::VersionChanged {
        model,
        version: &row.version,
        state: row.state,
        load_time: load_time.filter(|_| row.state == VersionState::Ready),
    })
}
