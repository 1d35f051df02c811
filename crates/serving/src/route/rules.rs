//! Routing rules of one model, as one value that is swapped as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Routing, Version};

use super::active_split::ActiveSplit;
use super::mirror::Mirror;
use super::report;

/// Everything that decides between the versions of one model.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoutingRules {
    /// The version that answers when none is named, even while it is not ready.
    pub(crate) pinned: Option<Version>,
    /// The version that answers when none is named or pinned, even while it is not ready; the
    /// highest that is ready when `None`.
    pub(crate) default: Option<Version>,
    /// Labels, with their versions.
    pub(crate) labels: BTreeMap<String, Version>,
    /// Split of the requests that name no version.
    pub(crate) split: Option<Arc<ActiveSplit>>,
    /// Grows with every change that an operator makes.
    pub(crate) generation: u64,
    /// Mirror for the requests that name no version.
    pub(crate) mirror: Option<Arc<Mirror>>,
    /// The rollout that controls the model instead of operators.
    pub(crate) rollout: Option<String>,
}

impl RoutingRules {
    /// Returns the version that answers when none is named; the highest that is ready when `None`.
    pub(crate) fn fixed_default(&self) -> Option<&Version> {
        self.pinned.as_ref().or(self.default.as_ref())
    }

    /// Returns the rules in the form of `Traffic`.
    pub(crate) fn routing(&self) -> Routing {
        let report = self.split.as_deref().map(report::report);
        let report = report.unwrap_or_default();
        Routing {
            pinned: self.pinned.clone(),
            default: self.default.clone(),
            labels: self.labels.clone(),
            split: self.split.as_deref().map(|active| active.split().clone()),
            results: report.results,
            comparison: report.comparison,
            sample_ratio: report.sample_ratio,
            n_without_unit: self
                .split
                .as_ref()
                .map_or(0, |active| active.n_without_unit()),
            generation: self.generation,
            rollout: self.rollout.clone(),
        }
    }
}
