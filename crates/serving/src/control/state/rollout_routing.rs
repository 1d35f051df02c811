//! Routing overrides of rollouts, which take precedence over the desired state.
//!
//! Decision: the override is no part of the desired state. A rollout persists its own state and
//! sets the override again after a restart; the desired state gets only the result. Meanwhile,
//! changes of operators that contradict the rollout are refused, so that none works against the
//! evidence unknowingly.

use std::collections::BTreeSet;
use std::sync::Arc;

use contract::{Change, ModelName, Result, Version};

use super::super::desired::DesiredState;
use super::{Model, RepositoryState, unknown_model};
use crate::route::{ActiveSplit, Mirror, RoutingRules};

/// Routing of a model set by a rollout.
#[derive(Clone, Debug)]
pub(crate) struct RolloutRouting {
    /// The rollout.
    pub(crate) rollout: String,
    /// The version that answers requests outside the split.
    pub(crate) stable: Version,
    /// The candidate.
    pub(crate) candidate: Version,
    /// The traffic split.
    pub(crate) split: Arc<ActiveSplit>,
    /// The epoch in which the split assigns units.
    pub(crate) assignment_epoch: u64,
    /// The mirror of requests.
    pub(crate) mirror: Option<Arc<Mirror>>,
}

impl RepositoryState {
    /// Sets the routing of a rollout, replacing its earlier one.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout controls the model.
    pub(crate) fn set_rollout_routing(
        &mut self,
        name: &ModelName,
        rollout_routing: RolloutRouting,
    ) -> Result<()> {
        let known = self.models.get_mut(name);
        let model = known.ok_or_else(|| unknown_model(name))?;
        match &model.rollout_routing {
            Some(current) if current.rollout != rollout_routing.rollout => {
                Err(rollout::driver::conflict(name, &current.rollout))
            }
            Some(_) | None => {
                model.rollout_routing = Some(rollout_routing);
                Ok(())
            }
        }
    }

    /// Restores the routing of a rollout after a restart, also for a model that was not found yet.
    pub(crate) fn restore_rollout_routing(
        &mut self,
        name: ModelName,
        rollout_routing: RolloutRouting,
    ) {
        self.models.entry(name).or_default().rollout_routing = Some(rollout_routing);
    }

    /// Returns the desired state of a model after a rollout that `winner` has won.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(crate) fn desired_after_rollout(
        &self,
        name: &ModelName,
        winner: &Version,
    ) -> Result<DesiredState> {
        let model = self.models.get(name).ok_or_else(|| unknown_model(name))?;
        let rollout_routing = model.rollout_routing.as_ref();
        let stable = rollout_routing.map_or(winner, |rollout_routing| &rollout_routing.stable);
        Ok(model.desired.after_rollout(winner, stable))
    }

    /// Ends the override of a model; `warm` stays loaded until [`RepositoryState::release_warm`].
    pub(crate) fn end_rollout(&mut self, name: &ModelName, warm: Option<Version>) {
        if let Some(model) = self.models.get_mut(name) {
            model.rollout_routing = None;
            model.lost.clear();
            model.warm.extend(warm);
        }
    }

    /// Stops keeping a version loaded after a rollout.
    pub(crate) fn release_warm(&mut self, name: &ModelName, version: &Version) {
        if let Some(model) = self.models.get_mut(name) {
            model.warm.remove(version);
        }
    }
}

impl Model {
    /// Refuses a change that contradicts a rollout.
    pub(super) fn check_rollout(&self, name: &ModelName, change: &Change) -> Result<()> {
        let Some(rollout_routing) = &self.rollout_routing else {
            return Ok(());
        };
        let is_harmless = match change {
            Change::Load(_) | Change::Label { .. } | Change::Unlabel(_) => true,
            Change::Unload(version) => {
                *version != rollout_routing.stable && *version != rollout_routing.candidate
            }
            Change::Pin(_)
            | Change::Unpin
            | Change::Split(_)
            | Change::Unsplit
            | Change::RollBack => false,
        };
        match is_harmless {
            true => Ok(()),
            false => Err(rollout::driver::conflict(name, &rollout_routing.rollout)),
        }
    }

    /// Returns the versions that a rollout needs, or that are kept warm after one.
    pub(super) fn needed_by_rollouts(&self) -> BTreeSet<Version> {
        let both = |rollout_routing: &RolloutRouting| {
            [
                rollout_routing.stable.clone(),
                rollout_routing.candidate.clone(),
            ]
        };
        let with_rollout = self.rollout_routing.iter().flat_map(both);
        with_rollout.chain(self.warm.iter().cloned()).collect()
    }

    /// Returns the routing rules with the override of a rollout applied.
    pub(super) fn with_rollout(&self, rules: RoutingRules) -> RoutingRules {
        match &self.rollout_routing {
            None => rules,
            Some(rollout_routing) => RoutingRules {
                pinned: Some(rollout_routing.stable.clone()),
                split: Some(Arc::clone(&rollout_routing.split)),
                mirror: rollout_routing.mirror.clone(),
                rollout: Some(rollout_routing.rollout.clone()),
                ..rules
            },
        }
    }
}
