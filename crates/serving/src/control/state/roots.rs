//! The models of the last scan, and the roots in which it found none.
//!
//! Rule: a root that had models and has none now is lost, as after a lost mount. Its models stay as
//! they were loaded, with a warning, until the root has models again or they are unloaded by a call.
//! Cold start: a server that has found no model yet is not ready, so that a new pod with a lost
//! mount gets no traffic; the models of the first scan that finds some are required for readiness.
//! Recovery: loads that failed while the root was lost are tried again. Rejected: unloading the
//! models of an empty root, because a lost mount looks the same, and not being ready, because all
//! replicas lose a mount at once and could still answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::root_problems::{RootProblems, lost_root_reason};
use super::{Model, RepositoryState};
use crate::catalog::layout::{FoundModel, Scan};

impl RepositoryState {
    /// Applies a scan.
    pub(crate) fn apply_scan(&mut self, mut scan: Scan) {
        let is_first_with_models = !self.has_found_models && !scan.models.is_empty();
        self.has_found_models |= is_first_with_models;
        for name in scan.models.keys() {
            self.models.entry(name.clone()).or_default();
        }
        let mut lost = BTreeSet::new();
        for (name, model) in &mut self.models {
            let found = scan.models.remove(name);
            model.is_required |= is_first_with_models && found.is_some();
            match found {
                Some(found) => model.find(found),
                None => lost.extend(model.miss(&scan.without_models)),
            }
            model.is_required &= model.found.is_some() || !model.serving.is_empty();
        }
        self.roots = RootProblems::new(&scan.without_models, &lost, self.has_found_models);
    }

    /// Returns the problems of the roots.
    pub(crate) fn root_problems(&self) -> &RootProblems {
        &self.roots
    }
}

impl Model {
    fn find(&mut self, found: FoundModel) {
        if std::mem::take(&mut self.is_lost) {
            for record in self.progress.versions.values_mut() {
                record.failed = None;
            }
        }
        self.path = Some(found.path.clone());
        self.found = Some(found);
    }

    /// Applies a scan that did not find the model; returns its root, when that is lost.
    fn miss(&mut self, without_models: &BTreeMap<PathBuf, String>) -> Option<PathBuf> {
        let is_kept = self.found.is_some() || !self.serving.is_empty();
        let path = self.path.as_ref();
        let path = path.filter(|_| is_kept && !self.progress.is_unloaded);
        let lost = path.and_then(|path| {
            let mut roots = without_models.iter();
            roots.find(|(root, _)| path.starts_with(root))
        });
        let Some((root, reason)) = lost else {
            (self.found, self.is_lost) = (None, false);
            return None;
        };
        self.is_lost = true;
        self.progress.missing_since = None;
        if let Some(found) = &mut self.found {
            // Settings that cannot be read change nothing about what is served.
            found.settings = Err(lost_root_reason(reason));
        }
        Some(root.clone())
    }
}
