//! Rollouts restored after a restart.

use contract::{Code, Error, ModelName, Result};

use super::super::notifications::Notifications;
use super::super::record::{Record, Records};
use super::super::shared::AppliedRollout;
use super::super::task::Clock;
use crate::config::RolloutConfig;
use crate::state::{Action, Rollout};

/// Rollouts restored after a restart.
#[derive(Debug, Default)]
pub struct Restored {
    pub(super) running: Vec<(Rollout, Record, Vec<Action>)>,
    pub(super) ended: Vec<(Rollout, Record)>,
    pub(super) notifications: Vec<(String, ModelName, Notifications)>,
    /// Shared rollouts as this server applied them.
    pub(super) applied: Vec<AppliedRollout>,
    /// Those that control traffic, with the weight of their candidate.
    applied_weights: Vec<(RolloutConfig, f64)>,
}

impl Restored {
    /// Reads the stored rollouts. Blocks. `is_sharing` when rollouts are shared from now on.
    ///
    /// # Errors
    /// `internal` when they cannot be read, or `conflict` when one of this server alone is running
    /// and rollouts are to be shared.
    pub fn read(records: &Records, is_sharing: bool) -> Result<Self> {
        let now = Clock::start().now();
        let mut restored = Self::default();
        let mut notifications = records.notifications()?;
        for (id, record) in records.all()? {
            let resume_error = |error: String| {
                Error::internal(format!("failed to resume stored rollout `{id}`: {error}"))
            };
            let config = match RolloutConfig::parse(&record.file) {
                Ok(config) => config.for_run(record.run),
                Err(error) if record.progress.phase.is_final() => {
                    tracing::warn!(rollout = id, %error, "left out ended rollout");
                    continue;
                }
                Err(error) => return Err(resume_error(error.to_string())),
            };
            if let Some(notifications) = notifications
                .remove(&id)
                .filter(|notifications| !notifications.is_empty())
            {
                let model = config.model.clone();
                restored
                    .notifications
                    .push((id.clone(), model, notifications));
            }
            let resumed = Rollout::resume(config, record.progress.clone(), now);
            let (rollout, actions) = resumed.map_err(|error| resume_error(error.to_string()))?;
            if rollout.progress().phase.is_final() {
                restored.ended.push((rollout, record));
            } else {
                restored.running.push((rollout, record, actions));
            }
        }
        if let Some((rollout, ..)) = restored.running.first().filter(|_| is_sharing) {
            let id = &rollout.config().id;
            return Err(Error::new(
                Code::Conflict,
                format!("rollout `{id}` is running here; end it before sharing rollouts"),
            ));
        }
        for (id, text) in records.applied()? {
            let applied = AppliedRollout::read(&text);
            let applied = applied.map_err(|error| error.in_context(format!("rollout {id}")))?;
            // Without the store, stable answers.
            let weight = applied.weight_in_force();
            let weight = weight.map(|weight| if is_sharing { weight } else { 0.0 });
            if let Some(weight) = weight {
                let rollout = applied.rollout(now)?;
                restored
                    .applied_weights
                    .push((rollout.config().clone(), weight));
            }
            restored.applied.push(applied);
        }
        Ok(restored)
    }

    /// Returns the rollouts that control traffic, with the weight of their candidate: a restart must
    /// not move traffic.
    pub fn weights(&self) -> impl Iterator<Item = (&RolloutConfig, f64)> {
        let running = self.running.iter();
        let own = running.map(|(rollout, ..)| (rollout.config(), rollout.traffic().weight));
        let applied = self.applied_weights.iter();
        own.chain(applied.map(|(config, weight)| (config, *weight)))
    }
}
