//! The state of the repository, changed by one event at a time.
//!
//! Decision: no I/O, no tasks and no clock here. Work to run outside is returned as a [`LoadJob`]
//! to load or as a [`Retired`] version to drain, and its result comes back as an event.

mod default;
mod rollout_files;
mod rollout_routing;
mod roots;
mod routing;
mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use contract::{Code, Error, ModelName, NewVersions, Result, Version};

use super::desired::DesiredState;
use super::plan::{Action, ModelProgress, Plan, Timing, VersionProgress, plan};
use super::root_problems::RootProblems;
use super::snapshot::{Draining, ReleaseSignal, ServedVersion};
use crate::catalog::artifact::VersionArtifact;
use crate::catalog::layout::FoundModel;
use crate::loaded_version::LoadedVersion;
use crate::route::ActiveSplit;

pub(crate) use rollout_routing::RolloutRouting;

/// A version to load.
#[derive(Clone, Debug)]
pub(crate) struct LoadJob {
    /// The model.
    pub(crate) model: ModelName,
    /// The version.
    pub(crate) version: Version,
    /// The artifact to load.
    pub(crate) artifact: VersionArtifact,
}

/// A retired version, to be drained and stopped.
#[derive(Debug)]
pub(crate) struct Retired {
    /// Id of the drain, passed back to [`RepositoryState::drained`].
    pub(crate) drain_id: u64,
    /// The loaded version.
    pub(crate) loaded_version: Arc<LoadedVersion>,
    /// Signal that no request holds it.
    pub(crate) released: ReleaseSignal,
}

#[derive(Debug)]
struct Serving {
    served: Arc<ServedVersion>,
    released: ReleaseSignal,
}

#[derive(Debug, Default)]
struct Model {
    found: Option<FoundModel>,
    /// The folder or file where it was found last.
    path: Option<PathBuf>,
    /// Set while its root is lost.
    is_lost: bool,
    progress: ModelProgress,
    plan: Plan,
    serving: BTreeMap<Version, Serving>,
    is_required: bool,
    desired: DesiredState,
    split: Option<Arc<ActiveSplit>>,
    rollout_routing: Option<RolloutRouting>,
    /// The setting, as it was read without a mistake last.
    new_versions: NewVersions,
    /// The version that answers when none is named or pinned.
    default: Option<Version>,
    /// Versions that stay loaded for a while after a rollout.
    warm: BTreeSet<Version>,
    /// Versions that a rollout needs, and whose files went after they had been served.
    lost: BTreeSet<Version>,
}

/// State of all models.
#[derive(Debug, Default)]
pub(crate) struct RepositoryState {
    /// Every model that was ever found; removed ones are not shown.
    models: BTreeMap<ModelName, Model>,
    queue: VecDeque<LoadJob>,
    draining: BTreeMap<u64, Draining>,
    next_drain_id: u64,
    has_found_models: bool,
    roots: RootProblems,
}

impl RepositoryState {
    /// Returns the names of all models, also of removed ones.
    pub(crate) fn names(&self) -> Vec<ModelName> {
        self.models.keys().cloned().collect()
    }

    /// Plans for one model and queues its loads; returns the versions to drain.
    pub(crate) fn plan(&mut self, name: &ModelName, timing: &Timing) -> Vec<Retired> {
        let Some(model) = self.models.get_mut(name) else {
            return Vec::new();
        };
        model.apply_desired_state(name);
        let mut plan = plan(model.found.as_ref(), &model.progress, timing);
        let mut retired = Vec::new();
        for action in std::mem::take(&mut plan.actions) {
            match action {
                Action::Load(version, artifact) => {
                    let record = model.progress.versions.entry(version.clone()).or_default();
                    record.loading = Some(artifact.clone());
                    record.seen = None;
                    self.queue.push_back(LoadJob {
                        model: name.clone(),
                        version,
                        artifact,
                    });
                }
                Action::Debounce(version, artifact) => {
                    let record = model.progress.versions.entry(version).or_default();
                    record.seen = Some((artifact, timing.now));
                }
                Action::ClearFailure(version) => {
                    let record = model.progress.versions.entry(version).or_default();
                    (record.failed, record.seen) = (None, None);
                }
                Action::Retire(version) => {
                    model.progress.versions.remove(&version);
                    let serving = model.serving.remove(&version);
                    if serving.is_some() && model.needed_by_rollouts().contains(&version) {
                        model.lost.insert(version.clone());
                    }
                    retired.extend(serving.map(|serving| (version, serving)));
                }
            }
        }
        if plan.reason != model.plan.reason && !plan.reason.is_empty() {
            tracing::warn!(model = %name, reason = plan.reason, "model not served as configured");
        }
        let since = model.progress.missing_since.unwrap_or(timing.now);
        model.progress.missing_since = plan.is_missing.then_some(since);
        model.plan = plan;
        model.choose_default(name);
        retired
            .into_iter()
            .map(|(version, serving)| self.retire(name, version, serving))
            .collect()
    }

    fn retire(&mut self, model: &ModelName, version: Version, serving: Serving) -> Retired {
        tracing::info!(%model, %version, "draining model version");
        let drain_id = self.next_drain_id;
        self.next_drain_id += 1;
        let loaded_version = Arc::clone(&serving.served.loaded_version);
        let draining = Draining {
            model: model.clone(),
            version,
            loaded_version: Arc::downgrade(&loaded_version),
        };
        self.draining.insert(drain_id, draining);
        Retired {
            drain_id,
            loaded_version,
            released: serving.released,
        }
    }

    /// Removes a retired version that has answered everything.
    pub(crate) fn drained(&mut self, drain_id: u64) {
        self.draining.remove(&drain_id);
    }

    /// Returns the next version to load, skipping jobs that are no longer needed.
    pub(crate) fn next_job(&mut self) -> Option<LoadJob> {
        while let Some(job) = self.queue.pop_front() {
            if self.version_progress(&job).is_some() {
                return Some(job);
            }
        }
        None
    }

    /// Returns the progress of a job; `None` when the job is no longer needed.
    fn version_progress(&mut self, job: &LoadJob) -> Option<&mut VersionProgress> {
        let model = self.models.get_mut(&job.model)?;
        let record = model.progress.versions.get_mut(&job.version)?;
        (record.loading.as_ref() == Some(&job.artifact)).then_some(record)
    }

    /// Applies the result of a load; returns the version that it replaces. A version that is no
    /// longer needed is dropped.
    pub(crate) fn finish(
        &mut self,
        job: LoadJob,
        result: Result<(Arc<ServedVersion>, ReleaseSignal)>,
    ) -> Option<Retired> {
        let record = self.version_progress(&job)?;
        record.loading = None;
        let (served, released) = match result {
            Ok(loaded) => loaded,
            Err(error) => {
                record.failed = Some((job.artifact, error));
                record.n_failed_loads += 1;
                return None;
            }
        };
        record.failed = None;
        record.serving = Some(job.artifact);
        let model = self.models.get_mut(&job.model)?;
        model.lost.remove(&job.version);
        let serving = Serving { served, released };
        let old = model.serving.insert(job.version.clone(), serving)?;
        Some(self.retire(&job.model, job.version, old))
    }

    /// Returns whether nothing is being loaded or queued.
    pub(crate) fn is_idle(&self) -> bool {
        self.models.values().all(|model| !is_loading(model))
    }

    /// Returns whether a version waits until its files stop changing.
    pub(crate) fn is_debouncing(&self) -> bool {
        let records = self
            .models
            .values()
            .flat_map(|model| model.progress.versions.values());
        records.into_iter().any(|record| record.seen.is_some())
    }

    /// Returns whether the files of a served version are missing.
    pub(crate) fn is_missing_files(&self) -> bool {
        let mut models = self.models.values();
        models.any(|model| model.plan.is_missing)
    }

    /// Marks a model for loading by a call: unloaded and failed versions are tried again.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(crate) fn request_load(&mut self, name: &ModelName) -> Result<()> {
        let found = self
            .models
            .get_mut(name)
            .filter(|model| model.found.is_some());
        let Some(model) = found else {
            return Err(unknown_model(name));
        };
        model.progress.is_unloaded = false;
        for record in model.progress.versions.values_mut() {
            record.failed = None;
        }
        Ok(())
    }

    /// Marks a model as unloaded by a call, until it is loaded by one.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` while a rollout controls it.
    pub(crate) fn request_unload(&mut self, name: &ModelName) -> Result<()> {
        let model = self
            .models
            .get_mut(name)
            .ok_or_else(|| unknown_model(name))?;
        if let Some(rollout_routing) = &model.rollout_routing {
            return Err(rollout::driver::conflict(name, &rollout_routing.rollout));
        }
        model.progress.is_unloaded = true;
        model.is_required = false;
        Ok(())
    }

    /// Returns the result of loading a model by a call; `None` while it is being loaded.
    pub(crate) fn load_result(&self, name: &ModelName) -> Option<Result<()>> {
        let Some(model) = self.models.get(name) else {
            return Some(Err(unknown_model(name)));
        };
        if is_loading(model) {
            return None;
        }
        if model.progress.is_unloaded {
            return Some(Err(overtaken_by_unload(name.as_str())));
        }
        if !model.plan.reason.is_empty() {
            return Some(Err(
                Error::invalid(model.plan.reason.clone()).in_context(name)
            ));
        }
        let mut versions = model.progress.versions.iter();
        let failed =
            versions.find_map(|(version, record)| Some((version, record.failed.as_ref()?)));
        Some(match failed {
            None => Ok(()),
            Some((version, (_, error))) => Err(error
                .clone()
                .in_context(format!("{name} version {version}"))),
        })
    }
}

fn is_loading(model: &Model) -> bool {
    let mut records = model.progress.versions.values();
    records.any(|record| record.loading.is_some())
}

/// Returns the error of a load whose model or version was unloaded before it ended.
fn overtaken_by_unload(what: &str) -> Error {
    let message = format!("the load of {what} was overtaken by an unload; load it again");
    Error::new(Code::Conflict, message)
}

fn unknown_model(name: &ModelName) -> Error {
    Error::new(
        Code::ModelNotFound,
        format!("Request for unknown model: '{name}' is not found in the repository"),
    )
}
