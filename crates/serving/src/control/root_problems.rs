//! Problems of roots in which no model was found, for readiness and for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Problems of roots in which no model was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootProblems {
    /// Reasons why the server is not ready.
    pub(crate) reasons: BTreeSet<String>,
    /// Conditions that an operator should know of.
    pub(crate) warnings: BTreeSet<String>,
}

impl RootProblems {
    /// Describes roots without models, of which some are `lost`: they had models before.
    pub(super) fn new(
        without_models: &BTreeMap<PathBuf, String>,
        lost: &BTreeSet<PathBuf>,
        has_found_models: bool,
    ) -> Self {
        let mut problems = Self::default();
        for (root, reason) in without_models {
            match (lost.contains(root), has_found_models) {
                (true, _) => problems.warnings.insert(lost_root_reason(reason)),
                (false, false) => problems.reasons.insert(reason.clone()),
                (false, true) => problems.warnings.insert(reason.clone()),
            };
        }
        problems
    }

    /// Returns the problem of each root.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.reasons.iter().chain(&self.warnings)
    }
}

/// Returns the reason of a lost root, and of its models.
pub(super) fn lost_root_reason(reason: &str) -> String {
    format!("{reason}; the models that it had are served as they were loaded")
}
