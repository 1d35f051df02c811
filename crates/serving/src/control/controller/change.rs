//! Changes by operators and by files, with their history.
//!
//! Rule: a change by an operator is persisted before it is applied, and acknowledged afterwards, so
//! that no acknowledged change is lost. A roll back waits for no disk: it is applied first, and
//! reverted when it cannot be persisted. A change by files is applied first and then persisted.

use std::time::{Duration, SystemTime};

use contract::{Change, HistoryEntry, ModelName, Result, Routing, Version};
use tokio::sync::oneshot;

use super::{NEVER, RepositoryController, reply};
use crate::control::desired::DesiredState;

/// Actor of a change by files.
const WATCH: &str = "watch";

/// A change requested by an operator.
#[derive(Debug)]
pub(crate) struct ChangeRequest {
    /// The model.
    pub(crate) model: ModelName,
    /// The change.
    pub(crate) change: Change,
    /// The actor.
    pub(crate) actor: String,
}

/// A call that waits until a version is ready.
#[derive(Debug)]
pub(super) struct VersionLoad {
    model: ModelName,
    version: Version,
    actor: String,
    done: oneshot::Sender<Result<Routing>>,
}

impl VersionLoad {
    /// Creates a call that waits for a version.
    pub(super) fn new(
        model: ModelName,
        version: Version,
        actor: String,
        done: oneshot::Sender<Result<Routing>>,
    ) -> Self {
        Self {
            model,
            version,
            actor,
            done,
        }
    }
}

impl RepositoryController {
    /// Applies a change and replies.
    pub(super) async fn change(
        &mut self,
        request: ChangeRequest,
        done: oneshot::Sender<Result<Routing>>,
    ) {
        match self.try_change(&request).await {
            Err(error) => reply(done, Err(error)),
            Ok(Some(version)) => self.version_loads.push(VersionLoad {
                model: request.model,
                version,
                actor: request.actor,
                done,
            }),
            Ok(None) => {
                self.publish();
                reply(done, self.state.routing(&request.model));
            }
        }
    }

    /// Applies a change; returns the version to wait for, when the change loads one.
    async fn try_change(&mut self, request: &ChangeRequest) -> Result<Option<Version>> {
        let load = match &request.change {
            Change::Load(version) => {
                self.scan(None).await?;
                Some(version.clone())
            }
            Change::Unload(_)
            | Change::Pin(_)
            | Change::Unpin
            | Change::Label { .. }
            | Change::Unlabel(_)
            | Change::Split(_)
            | Change::Unsplit
            | Change::RollBack => None,
        };
        let outcome = self
            .state
            .validate(&request.model, request.change.clone())?;
        let version = outcome.version.as_ref();
        let entry = self.entry(&request.model, &request.actor, outcome.what, version);
        let before = match request.change {
            Change::RollBack => self.state.desired(&request.model).cloned(),
            Change::Load(_)
            | Change::Unload(_)
            | Change::Pin(_)
            | Change::Unpin
            | Change::Label { .. }
            | Change::Unlabel(_)
            | Change::Split(_)
            | Change::Unsplit => None,
        };
        if before.is_some() {
            self.apply_desired(&request.model, outcome.desired.clone());
        }
        let persisted = self
            .persistence
            .persist(&request.model, &outcome.desired, &entry);
        if let Err(error) = persisted.await {
            if let Some(before) = before {
                self.apply_desired(&request.model, before);
            }
            return Err(error);
        }
        let (model, actor, change) = (&request.model, &entry.actor, &entry.what);
        tracing::info!(%model, actor, change, "applied operator change");
        self.state.set_desired(&request.model, outcome.desired);
        let debounce = match &load {
            Some(version) => {
                self.state.clear_failure(&request.model, version);
                Duration::ZERO
            }
            None => NEVER,
        };
        self.plan(&request.model, debounce, false);
        self.defaults = self.state.defaults();
        Ok(load)
    }

    fn apply_desired(&mut self, model: &ModelName, desired: DesiredState) {
        self.state.set_desired(model, desired);
        self.plan(model, NEVER, false);
        self.publish();
    }

    /// Answers the calls whose version is ready or has failed.
    pub(super) fn complete_version_loads(&mut self) {
        for load in std::mem::take(&mut self.version_loads) {
            match self.state.version_load_result(&load.model, &load.version) {
                None => self.version_loads.push(load),
                Some(Err(error)) => reply(load.done, Err(error)),
                Some(Ok(())) => reply(load.done, self.state.routing(&load.model)),
            }
        }
    }

    /// Records that the content of a version changed in the files.
    pub(super) async fn record_content(&mut self, model: &ModelName, version: &Version) {
        let fingerprint = self.state.fingerprint(model, version);
        let desired = self.state.desired(model).cloned();
        let (Some(fingerprint), Some(mut desired)) = (fingerprint, desired) else {
            return;
        };
        let known = desired
            .contents
            .insert(version.clone(), fingerprint.clone());
        if known.as_ref() != Some(&fingerprint) {
            let what = format!("new content of version {version}");
            let entry = self.entry(model, WATCH, what, Some(version));
            self.persist(model, desired, &entry).await;
        }
    }

    /// Records changes of the default version caused by a load or by files.
    pub(super) async fn record_default_changes(&mut self) {
        let now = self.state.defaults();
        let before = std::mem::replace(&mut self.defaults, now.clone());
        for (model, to) in &now {
            let from = before.get(model).filter(|from| *from != to);
            let desired = self.state.desired(model);
            if let (Some(from), Some(desired)) = (from, desired) {
                let desired = desired.after_default_change(from);
                let what = format!("version {to} answers by default instead of {from}");
                let entry = self.entry(model, self.loaded_by(model, to), what, Some(to));
                self.persist(model, desired, &entry).await;
            }
        }
    }

    /// Records changes of the splits in the files.
    pub(super) async fn record_split_changes(&mut self) {
        let now = self.state.file_splits();
        let before = std::mem::replace(&mut self.file_splits, now.clone());
        for (model, split) in &now {
            let is_new = before.get(model).is_some_and(|before| before != split);
            let desired = self.state.desired(model).filter(|_| is_new).cloned();
            if let Some(mut desired) = desired {
                desired.generation += 1;
                let what = "`traffic` in `model.yaml` has changed".to_owned();
                let entry = self.entry(model, WATCH, what, None);
                self.persist(model, desired, &entry).await;
            }
        }
    }

    /// Returns the actor who loaded a version.
    fn loaded_by(&self, model: &ModelName, version: &Version) -> &str {
        let mut loads = self.version_loads.iter();
        let load = loads.find(|load| load.model == *model && load.version == *version);
        load.map_or(WATCH, |load| &load.actor)
    }

    pub(super) fn entry(
        &self,
        model: &ModelName,
        actor: &str,
        what: String,
        version: Option<&Version>,
    ) -> HistoryEntry {
        HistoryEntry {
            at: SystemTime::now(),
            actor: actor.to_owned(),
            what,
            version: version.cloned(),
            fingerprint: version.and_then(|version| self.state.fingerprint(model, version)),
        }
    }

    /// Persists a change by files, which applies also when that fails.
    async fn persist(&mut self, model: &ModelName, desired: DesiredState, entry: &HistoryEntry) {
        if let Err(error) = self.persistence.persist(model, &desired, entry).await {
            let diagnostic = error.diagnostic();
            tracing::error!(%model, diagnostic, "failed to persist model history");
        }
        self.state.set_desired(model, desired);
    }
}
