//! Rollouts restored after a restart.

use api::rollout::LeaderRollout;
use contract::{Code, Error, ModelName, Result};

use super::super::leader_state;
use super::super::notifications::Notifications;
use super::super::record::{Record, Records};
use super::super::task::Clock;
use crate::config::RolloutConfig;
use crate::state::{Action, Rollout};

/// Rollouts restored after a restart.
#[derive(Debug, Default)]
pub struct Restored {
    pub(super) running: Vec<(Rollout, Record, Vec<Action>)>,
    pub(super) ended: Vec<(Rollout, Record)>,
    pub(super) notifications: Vec<(String, ModelName, Notifications)>,
    pub(super) followed: Vec<(RolloutConfig, f64, LeaderRollout)>,
}

impl Restored {
    /// Reads the stored rollouts. Blocks. With a `leader`, that server decides from now on.
    ///
    /// # Errors
    /// `internal` when they cannot be read, or `conflict` when two servers would decide.
    pub fn read(records: &Records, leader: Option<&str>) -> Result<Self> {
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
        if let (Some(leader), Some((rollout, ..))) = (leader, restored.running.first()) {
            let id = &rollout.config().id;
            return Err(Error::new(
                Code::Conflict,
                format!("rollout `{id}` is running here; end it before following `{leader}`"),
            ));
        }
        for leader_rollout in records.followed()? {
            restored.add_followed(leader_rollout, leader.is_some())?;
        }
        Ok(restored)
    }

    /// Adds a followed rollout; without a leader, stable answers.
    fn add_followed(&mut self, leader_rollout: LeaderRollout, has_leader: bool) -> Result<()> {
        let config = RolloutConfig::parse(&leader_rollout.file);
        let config = config.map_err(|error| {
            let id = &leader_rollout.id;
            Error::internal(format!("failed to resume followed rollout `{id}`: {error}"))
        })?;
        let config = config.for_run(leader_state::run(&leader_rollout));
        let weight = match has_leader {
            true => leader_rollout.weight,
            false => 0.0,
        };
        self.followed.push((config, weight, leader_rollout));
        Ok(())
    }

    /// Returns the rollouts that control traffic, with the weight of their candidate: a restart must
    /// not move traffic.
    pub fn weights(&self) -> impl Iterator<Item = (&RolloutConfig, f64)> {
        let running = self.running.iter();
        let own = running.map(|(rollout, ..)| (rollout.config(), rollout.traffic().weight));
        let followed = self.followed.iter();
        let followed = followed.filter(|(_, _, leader_rollout)| leader_rollout.winner.is_none());
        own.chain(followed.map(|(config, weight, _)| (config, *weight)))
    }
}
