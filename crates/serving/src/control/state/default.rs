//! The default version of a model, chosen after each change of its versions.

use std::collections::BTreeMap;

use contract::{ModelName, NewVersions, Version};

use super::super::default_version::{Availability, DefaultVersion, default_version};
use super::Model;

impl Model {
    /// Records a pinned version as the one that answered, so that it goes on when the pin is
    /// removed, and the one before it is no longer required.
    pub(super) fn record_pinned(&mut self) {
        let routing = &mut self.desired.routing;
        if routing.pinned.is_some() {
            routing.default.clone_from(&routing.pinned);
        }
    }

    /// Chooses the default version.
    pub(super) fn choose_default(&mut self, name: &ModelName) {
        let recorded = self.desired.routing.default.clone();
        let DefaultVersion {
            answering,
            recorded,
        } = default_version(self.new_versions, recorded.as_ref(), &self.availability());
        if let (Some(version), Some(before), NewVersions::Wait) =
            (&answering, &self.default, self.new_versions)
            && version != before
            && !self.serving.contains_key(before)
        {
            tracing::warn!(model = %name, %version, %before, "replaced missing default version");
        }
        self.default = answering;
        if self.desired.routing.pinned.is_none() {
            self.desired.routing.default = recorded;
        }
    }

    /// Returns the versions that serve or are meant to, with their availability.
    fn availability(&self) -> BTreeMap<&Version, Availability> {
        let found = self.found.iter().flat_map(|found| found.versions.keys());
        let meant = found.filter(|version| !self.plan.idle.contains_key(*version));
        meant
            .chain(self.serving.keys())
            .map(|version| (version, self.availability_of(version)))
            .collect()
    }

    fn availability_of(&self, version: &Version) -> Availability {
        let record = self.progress.versions.get(version);
        let has_failed = record.is_some_and(|record| record.failed.is_some());
        match (self.serving.contains_key(version), has_failed) {
            (true, _) => Availability::Ready,
            (false, true) => Availability::Failed,
            (false, false) => Availability::Loading,
        }
    }

    /// Returns the default version where new versions wait.
    pub(super) fn held_default(&self) -> Option<&Version> {
        match self.new_versions {
            NewVersions::Serve => None,
            NewVersions::Wait => self.default.as_ref(),
        }
    }

    /// Keeps the default version loaded while others wait, whatever the settings select, unless an
    /// operator has unloaded it.
    pub(super) fn require_default(&mut self) {
        let recorded = self.desired.routing.default.as_ref();
        let is_unloaded = |version: &&Version| self.desired.unloaded.contains(*version);
        let recorded = recorded.filter(|version| !is_unloaded(version));
        if let (NewVersions::Wait, Some(version)) = (self.new_versions, recorded) {
            self.progress.required.insert(version.clone());
        }
    }

    /// Returns why a version that is ready does not answer by default, when it waits for that.
    pub(super) fn waiting_reason(&self, version: &Version) -> Option<String> {
        let pinned = self.desired.routing.pinned.as_ref();
        let answering = pinned.or(self.held_default())?;
        let is_waiting = self.new_versions == NewVersions::Wait
            && version > answering
            && self.serving.contains_key(version);
        is_waiting.then(|| {
            format!(
                "it waits: version {answering} answers by default until this one is pinned or has \
                 won a rollout"
            )
        })
    }
}
