//! Steering: a rollout decides between two versions of a model, before everything else.
//!
//! Decision: steering is no wish. The rollout keeps its own state and steers again after a restart;
//! wishes only learn how it ended. While it lasts, wishes that would decide otherwise are refused,
//! so that nobody works against evidence without knowing.

use std::collections::BTreeSet;
use std::sync::Arc;

use contract::{Change, Code, Error, ModelName, Result, Version};

use super::super::wishes::Wishes;
use super::{Ledger, Model, unknown_model};
use crate::route::{ActiveSplit, Mirror, Switch};

/// What a rollout has decided about a model.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    /// The rollout.
    pub(crate) rollout: String,
    /// The version that answers what the split leaves out.
    pub(crate) stable: Version,
    /// The version on trial.
    pub(crate) candidate: Version,
    /// How the requests are shared out.
    pub(crate) split: Arc<ActiveSplit>,
    /// Where copies of requests go.
    pub(crate) mirror: Option<Arc<Mirror>>,
}

impl Ledger {
    /// Lets a rollout decide, in place of what it decided before.
    ///
    /// # Errors
    /// `model_not_found`, or `conflict` when another rollout decides.
    pub(crate) fn steer(&mut self, name: &ModelName, steering: Steering) -> Result<()> {
        let known = self.models.get_mut(name);
        let model = known.ok_or_else(|| unknown_model(name))?;
        match &model.steering {
            Some(current) if current.rollout != steering.rollout => {
                Err(owned_by(name, &current.rollout))
            }
            Some(_) | None => {
                model.steering = Some(steering);
                Ok(())
            }
        }
    }

    /// Lets a rollout decide about a model from before a restart, which may not have been found yet.
    pub(crate) fn steer_again(&mut self, name: ModelName, steering: Steering) {
        self.models.entry(name).or_default().steering = Some(steering);
    }

    /// The wishes about a model after a rollout that `winner` has won.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(crate) fn wishes_after(&self, name: &ModelName, winner: &Version) -> Result<Wishes> {
        let model = self.models.get(name).ok_or_else(|| unknown_model(name))?;
        let steering = model.steering.as_ref();
        let stable = steering.map_or(winner, |steering| &steering.stable);
        Ok(model.wishes.after_rollout(winner, stable))
    }

    /// Ends the steering of a model; `warm` stays loaded until [`Ledger::cool`].
    pub(crate) fn release(&mut self, name: &ModelName, warm: Option<Version>) {
        if let Some(model) = self.models.get_mut(name) {
            model.steering = None;
            model.warm.extend(warm);
        }
    }

    /// Keeps a version no longer loaded for its own sake.
    pub(crate) fn cool(&mut self, name: &ModelName, version: &Version) {
        if let Some(model) = self.models.get_mut(name) {
            model.warm.remove(version);
        }
    }
}

impl Model {
    /// Refuses what would work against a rollout.
    pub(super) fn check_free(&self, name: &ModelName, change: &Change) -> Result<()> {
        let Some(steering) = &self.steering else {
            return Ok(());
        };
        let is_harmless = match change {
            Change::Load(_) | Change::Label { .. } | Change::Unlabel(_) => true,
            Change::Unload(version) => {
                *version != steering.stable && *version != steering.candidate
            }
            Change::Pin(_)
            | Change::Unpin
            | Change::Split(_)
            | Change::Unsplit
            | Change::RollBack => false,
        };
        match is_harmless {
            true => Ok(()),
            false => Err(owned_by(name, &steering.rollout)),
        }
    }

    /// The versions that a rollout needs, or that are still warm after one.
    pub(super) fn needed_by_rollouts(&self) -> BTreeSet<Version> {
        let both = |steering: &Steering| [steering.stable.clone(), steering.candidate.clone()];
        let steered = self.steering.iter().flat_map(both);
        steered.chain(self.warm.iter().cloned()).collect()
    }

    /// What a rollout decides in place of wishes.
    pub(super) fn steered(&self, switch: Switch) -> Switch {
        match &self.steering {
            None => switch,
            Some(steering) => Switch {
                pinned: Some(steering.stable.clone()),
                split: Some(Arc::clone(&steering.split)),
                mirror: steering.mirror.clone(),
                rollout: Some(steering.rollout.clone()),
                ..switch
            },
        }
    }
}

/// What everybody is told who wants to decide while a rollout does.
pub(crate) fn owned_by(name: &ModelName, rollout: &str) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "the rollout `{rollout}` decides about the traffic of model `{name}`; wait until it \
             ends, or abort it"
        ),
    )
}
