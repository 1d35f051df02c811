//! What is served right now, as one immutable value.
//!
//! Decision: a version that was taken out of the snapshot lives until the last request that was
//! routed to it lets go. [`Served`] is what the snapshot and the routes hold; when the last of them
//! is dropped, [`Released`] resolves, and only then is the variant stopped. So a swap fails nothing.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use contract::{Event, ModelName, ModelStatus, Observe, Version, VersionState, VersionStatus};
use tokio::sync::oneshot;

use crate::route::{ModelRow, Table, VersionRow};
use crate::variant::Variant;

/// A variant that takes requests.
#[derive(Debug)]
pub(crate) struct Served {
    /// The variant.
    pub(crate) variant: Arc<Variant>,
    /// How long it took to load.
    pub(crate) load_time: Duration,
    /// The model as the access log carries it.
    pub(crate) model: Bytes,
    /// The version as replies carry it.
    pub(crate) version: Bytes,
    /// What identifies its files.
    pub(crate) content: String,
    /// How much the process grew while it was loaded; `None` where that cannot be measured.
    pub(crate) memory_bytes: Option<u64>,
    /// Dropped with this value.
    _release: oneshot::Sender<()>,
}

/// How a variant was loaded.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// How long it took.
    pub(crate) time: Duration,
    /// What identifies its files.
    pub(crate) content: String,
    /// How much the process grew meanwhile.
    pub(crate) memory_bytes: Option<u64>,
}

/// Resolves when nobody holds the [`Served`] any more.
#[derive(Debug)]
pub(crate) struct Released(oneshot::Receiver<()>);

impl Served {
    /// Wraps a variant that has just been loaded.
    pub(crate) fn new(variant: Arc<Variant>, load: Load) -> (Arc<Self>, Released) {
        let (release, released) = oneshot::channel();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let served = Self {
            model: bytes(variant.info().model.as_str()),
            version: bytes(variant.info().version.as_str()),
            variant,
            load_time: load.time,
            content: load.content,
            memory_bytes: load.memory_bytes,
            _release: release,
        };
        (Arc::new(served), Released(released))
    }
}

impl Released {
    /// Waits for it.
    pub(crate) async fn wait(self) {
        // Nothing is ever sent: the error that the sender is gone is the signal.
        self.0.await.unwrap_or_default();
    }
}

/// A version that answers what it accepted and takes nothing new.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    /// The model.
    pub(crate) model: ModelName,
    /// The version.
    pub(crate) version: Version,
    /// The variant, gone when it has answered everything.
    pub(crate) variant: Weak<Variant>,
}

/// What is served right now.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Models and versions.
    pub(crate) table: Table<Arc<Served>>,
    /// Variants that left the table and have not answered everything.
    pub(crate) draining: Vec<Draining>,
}

impl Snapshot {
    /// One model as `Control` shows it.
    pub(crate) fn status(&self, name: &ModelName, row: &ModelRow<Arc<Served>>) -> ModelStatus {
        let versions = row.versions.iter();
        ModelStatus {
            name: name.clone(),
            reason: row.reason.clone(),
            versions: versions.map(|row| self.version_status(name, row)).collect(),
            routing: row.switch.routing(),
        }
    }

    fn version_status(&self, model: &ModelName, row: &VersionRow<Arc<Served>>) -> VersionStatus {
        let served = row
            .handle
            .as_ref()
            .map(|served| Arc::clone(&served.variant));
        let leaving = self.draining.iter().filter_map(|draining| {
            let is_it = draining.model == *model && draining.version == row.version;
            is_it.then(|| draining.variant.upgrade()).flatten()
        });
        let variants: Vec<_> = served.into_iter().chain(leaving).collect();
        let stuck = match row.state {
            VersionState::Ready => variants.first().and_then(|variant| variant.stuck_reason()),
            VersionState::Loading | VersionState::Unloading | VersionState::Unavailable => None,
        };
        VersionStatus {
            version: row.version.clone(),
            state: match stuck {
                Some(_) => VersionState::Unavailable,
                None => row.state,
            },
            reason: stuck.unwrap_or_else(|| row.reason.clone()),
            info: variants.first().map(|variant| Arc::clone(variant.info())),
            n_in_flight: variants.iter().map(|variant| variant.n_in_flight()).sum(),
            scheduling: variants.first().map(|variant| variant.scheduling()),
        }
    }

    /// Every variant that may still have requests.
    pub(crate) fn variants(&self) -> Vec<Arc<Variant>> {
        let models = self.table.models.values();
        let rows = models.flat_map(|model| &model.versions);
        let served = rows.filter_map(|row| row.handle.as_ref());
        let draining = self.draining.iter();
        served
            .map(|served| Arc::clone(&served.variant))
            .chain(draining.filter_map(|draining| draining.variant.upgrade()))
            .collect()
    }

    /// Reports what has changed since `before`.
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

    fn version(&self, model: &ModelName, version: &Version) -> Option<&VersionRow<Arc<Served>>> {
        let versions = &self.table.models.get(model)?.versions;
        versions.iter().find(|row| row.version == *version)
    }
}

fn change<'a>(
    model: &'a ModelName,
    row: &'a VersionRow<Arc<Served>>,
    old: Option<&VersionRow<Arc<Served>>>,
) -> Option<Event<'a>> {
    let is_same_state = old.is_some_and(|old| old.state == row.state);
    let old = old.and_then(|old| old.handle.as_ref());
    let is_same_variant = match (&row.handle, old) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let load_time = row.handle.as_ref().map(|served| served.load_time);
    (!is_same_state || !is_same_variant).then_some(Event::VersionChanged {
        model,
        version: &row.version,
        state: row.state,
        load_time: load_time.filter(|_| row.state == VersionState::Ready),
    })
}
