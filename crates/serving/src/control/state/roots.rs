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

use super::{Model, RepositoryState};
use crate::catalog::layout::{FoundModel, Scan};

/// Problems of roots in which no model was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootProblems {
    /// Reasons why the server is not ready.
    pub(crate) reasons: BTreeSet<String>,
    /// Conditions that an operator should know of.
    pub(crate) warnings: BTreeSet<String>,
}

impl RootProblems {
    /// Returns the problem of each root.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.reasons.iter().chain(&self.warnings)
    }
}

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
        self.roots = problems(&scan.without_models, &lost, self.has_found_models);
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
            found.settings = Err(kept(reason));
        }
        Some(root.clone())
    }
}

fn kept(reason: &str) -> String {
    format!("{reason}; the models that it had are served as they were loaded")
}

fn problems(
    without_models: &BTreeMap<PathBuf, String>,
    lost: &BTreeSet<PathBuf>,
    has_found_models: bool,
) -> RootProblems {
    let mut problems = RootProblems::default();
    for (root, reason) in without_models {
        match (lost.contains(root), has_found_models) {
            (true, _) => problems.warnings.insert(kept(reason)),
            (false, true) => problems.warnings.insert(reason.clone()),
            (false, false) => problems.reasons.insert(reason.clone()),
        };
    }
    problems
}
