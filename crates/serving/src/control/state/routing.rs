//! Routing of a model: its desired state, applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Change, Error, ModelName, Result, Routing, Split, Version};
use stats::assignment::Assigner;

use super::super::desired::{ChangeOutcome, DesiredState, SplitOverride, ValidationContext};
use super::{Model, RepositoryState, overtaken_by_unload, unknown_model};
use crate::route::{ActiveSplit, RoutingRules};

impl RepositoryState {
    /// Restores the desired state of a model after a restart.
    pub(crate) fn restore_desired(&mut self, name: ModelName, desired: DesiredState) {
        self.models.entry(name).or_default().desired = desired;
    }

    /// Returns the outcome of a change without applying it.
    ///
    /// # Errors
    /// `model_not_found`, `version_not_found`, or `invalid_request` for an impossible change.
    pub(crate) fn validate(&self, name: &ModelName, change: Change) -> Result<ChangeOutcome> {
        let model = self.known_model(name)?;
        model.check_rollout(name, &change)?;
        if let (Change::Load(_), true) = (&change, model.progress.is_unloaded) {
            return Err(Error::invalid(format!(
                "the model `{name}` is unloaded; load the model first"
            )));
        }
        if let Change::Split(split) = &change {
            Assigner::new(split, "")?;
        }
        let found = model.found.iter().flat_map(|found| found.versions.keys());
        let context = ValidationContext {
            model: name,
            known: found.chain(model.serving.keys()).collect(),
            ready: model.serving.keys().collect(),
            split: model.split.as_deref().map(ActiveSplit::split),
            default: model.held_default(),
        };
        model.desired.after(change, &context)
    }

    /// Sets the desired state of a model, which the next plan applies.
    pub(crate) fn set_desired(&mut self, name: &ModelName, desired: DesiredState) {
        if let Some(model) = self.models.get_mut(name) {
            model.desired = desired;
        }
    }

    /// Clears the failure of a version, so that it is tried again.
    pub(crate) fn clear_failure(&mut self, name: &ModelName, version: &Version) {
        let model = self.models.get_mut(name);
        let record = model.and_then(|model| model.progress.versions.get_mut(version));
        if let Some(record) = record {
            record.failed = None;
        }
    }

    /// Returns the desired state of a model.
    pub(crate) fn desired(&self, name: &ModelName) -> Option<&DesiredState> {
        self.models.get(name).map(|model| &model.desired)
    }

    /// Returns the routing of a model.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(crate) fn routing(&self, name: &ModelName) -> Result<Routing> {
        Ok(self.known_model(name)?.rules().routing())
    }

    /// Returns the result of loading one version; `None` while it is being loaded.
    pub(crate) fn version_load_result(
        &self,
        name: &ModelName,
        version: &Version,
    ) -> Option<Result<()>> {
        let model = match self.known_model(name) {
            Ok(model) => model,
            Err(error) => return Some(Err(error)),
        };
        let context = format!("{name} version {version}");
        match model.progress.versions.get(version) {
            Some(record) if record.loading.is_some() => None,
            Some(record) => Some(match (&record.failed, &record.serving) {
                (Some((_, error)), _) => Err(error.clone().in_context(context)),
                (None, Some(_)) => Ok(()),
                (None, None) => Err(Error::invalid("its files are changing").in_context(context)),
            }),
            None if model.progress.is_unloaded || model.desired.unloaded.contains(version) => {
                Some(Err(overtaken_by_unload(&context)))
            }
            None => {
                let reason = match model.plan.reason.as_str() {
                    "" => "it is not in the repository",
                    reason => reason,
                };
                Some(Err(Error::invalid(reason.to_owned()).in_context(context)))
            }
        }
    }

    /// Returns the fingerprint of a served version.
    pub(crate) fn fingerprint(&self, name: &ModelName, version: &Version) -> Option<String> {
        let record = self.models.get(name)?.progress.versions.get(version)?;
        Some(record.serving.as_ref()?.fingerprint.to_string())
    }

    /// Returns the default version of each model without a pin.
    pub(crate) fn defaults(&self) -> BTreeMap<ModelName, Version> {
        let models = self.models.iter();
        let unpinned = models.filter(|(_, model)| model.desired.routing.pinned.is_none());
        unpinned
            .filter_map(|(name, model)| {
                let default = model.default.as_ref();
                let ready = default.filter(|version| model.serving.contains_key(*version))?;
                Some((name.clone(), ready.clone()))
            })
            .collect()
    }

    /// Returns the splits in the files of the models that use them; models with invalid settings
    /// are left out, because those change nothing.
    pub(crate) fn file_splits(&self) -> BTreeMap<ModelName, Option<Split>> {
        let models = self.models.iter();
        let following_file =
            models.filter(|(_, model)| model.desired.routing.split == SplitOverride::FromFile);
        following_file
            .filter_map(|(name, model)| {
                let settings = model.found.as_ref()?.settings.as_ref().ok()?;
                Some((name.clone(), settings.traffic.clone()))
            })
            .collect()
    }

    /// Returns the applied splits that are bandits, as written.
    pub(crate) fn bandits(&self) -> impl Iterator<Item = (&ModelName, &Split)> {
        let models = self.models.iter();
        let without_rollout = models.filter(|(_, model)| model.rollout_routing.is_none());
        without_rollout.filter_map(|(name, model)| {
            let split = model.split.as_deref()?.split();
            split.bandit.is_some().then_some((name, split))
        })
    }

    /// Updates the weights of a bandit from its rewards; returns them when they have changed.
    pub(crate) fn update_weights(&mut self, name: &ModelName) -> Option<Vec<f64>> {
        let model = self.models.get_mut(name)?;
        let moved = model.split.as_ref()?.with_bandit_weights(&salt_of(name));
        match moved {
            Ok(moved) => {
                let moved = moved?;
                let weights = moved.weights().to_vec();
                model.split = Some(Arc::new(moved));
                Some(weights)
            }
            Err(error) => {
                tracing::error!(model = %name, %error, "failed to update bandit weights");
                None
            }
        }
    }

    fn known_model(&self, name: &ModelName) -> Result<&Model> {
        let found = self.models.get(name);
        found
            .filter(|model| model.found.is_some() || !model.serving.is_empty())
            .ok_or_else(|| unknown_model(name))
    }
}

impl Model {
    /// Determines the split and the setting to apply, and the versions that the desired state requires or excludes.
    pub(super) fn apply_desired_state(&mut self, name: &ModelName) {
        let desired = self.desired_split();
        let current = self.split.as_deref().map(ActiveSplit::split);
        if desired != current {
            self.split = desired.cloned().and_then(|split| activate(name, split));
        }
        let settings = self.found.as_ref().map(|found| found.settings.as_ref());
        // A mistake in the file must not move traffic.
        if let Some(Ok(settings)) = settings {
            self.new_versions = settings.new_versions;
        }
        let split = self.split.as_deref().map(ActiveSplit::split);
        self.progress.required = self.desired.required(split);
        self.record_pinned();
        self.require_default();
        let needed = self.needed_by_rollouts();
        self.progress.required.extend(needed);
        let unloaded = self.desired.unloaded.difference(&self.progress.required);
        self.progress.excluded = unloaded.cloned().collect();
    }

    fn desired_split(&self) -> Option<&Split> {
        match &self.desired.routing.split {
            SplitOverride::Explicit(split) => Some(split),
            SplitOverride::Disabled => None,
            SplitOverride::FromFile => match self.found.as_ref().map(|found| &found.settings) {
                Some(Ok(settings)) => settings.traffic.as_ref(),
                None if self.serving.is_empty() => None,
                // A mistake in the file, or one that is missing, must not move traffic.
                Some(Err(_)) | None => self.split.as_deref().map(ActiveSplit::split),
            },
        }
    }

    /// Returns the routing rules.
    pub(super) fn rules(&self) -> RoutingRules {
        let DesiredState { routing, .. } = &self.desired;
        self.with_rollout(RoutingRules {
            pinned: routing.pinned.clone(),
            default: self.held_default().cloned(),
            labels: routing.labels.clone(),
            split: self.split.clone(),
            generation: self.desired.generation,
            ..RoutingRules::default()
        })
    }
}

/// Creates the active split. Splits are validated before they are stored, so a failure here means
/// that another version of the server stored it.
fn activate(name: &ModelName, split: Split) -> Option<Arc<ActiveSplit>> {
    match ActiveSplit::new(split, &salt_of(name)) {
        Ok(active) => Some(Arc::new(active)),
        Err(error) => {
            tracing::error!(model = %name, %error, "invalid traffic split; routing without it");
            None
        }
    }
}

/// Returns the salt of a split that has none of its own.
fn salt_of(name: &ModelName) -> String {
    format!("{name}/traffic")
}
