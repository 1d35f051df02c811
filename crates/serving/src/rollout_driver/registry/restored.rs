//! Rollouts restored after a restart.

use std::sync::Arc;

use contract::{Code, Error, ModelName, Result};
use rollout::config::RolloutConfig;
use rollout::state::{Action, Rollout};

use super::super::leader_state::LeaderRollout;
use super::super::notifications::Notifications;
use super::super::record::{Record, Records};
use super::super::task::Clock;
use super::super::traffic_control::rollout_routing;
use super::split_of;
use crate::control::state::RolloutRouting;
use crate::route::ActiveSplit;

/// Rollouts restored after a restart.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(super) running: Vec<(Rollout, Record, Vec<Action>, Arc<ActiveSplit>)>,
    pub(super) ended: Vec<(Rollout, Record)>,
    pub(super) notifications: Vec<(String, ModelName, Notifications)>,
    pub(super) followed: Vec<(RolloutConfig, Arc<ActiveSplit>, LeaderRollout)>,
}

impl Restored {
    /// Reads the stored rollouts. Blocks. With a `leader`, that server decides from now on.
    ///
    /// # Errors
    /// `internal` when they cannot be read, or `conflict` when two servers would decide.
    pub(crate) fn read(records: &Records, leader: Option<&str>) -> Result<Self> {
        let now = Clock::start().now();
        let mut restored = Self::default();
        let mut notifications = records.notifications()?;
        for (id, record) in records.all()? {
            let resume_error = |error: String| {
                Error::internal(format!("failed to resume stored rollout `{id}`: {error}"))
            };
            let config = RolloutConfig::parse(&record.file);
            let config = config.map_err(|error| resume_error(error.to_string()))?;
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
                let split = split_of(&rollout)?;
                restored.running.push((rollout, record, actions, split));
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
        let weight = match has_leader {
            true => leader_rollout.weight,
            false => 0.0,
        };
        let split = Arc::new(ActiveSplit::new(config.split(weight), "")?);
        self.followed.push((config, split, leader_rollout));
        Ok(())
    }

    /// Returns the routing of all rollouts for the first snapshot: a restart must not move traffic.
    pub(crate) fn rollout_routings(&self) -> Vec<(ModelName, RolloutRouting)> {
        let running = self.running.iter();
        let own = running.map(|(rollout, _, _, split)| (rollout.config(), split));
        let followed = self.followed.iter();
        let followed = followed.filter(|(_, _, leader_rollout)| leader_rollout.winner.is_none());
        own.chain(followed.map(|(config, split, _)| (config, split)))
            .map(|(config, split)| (config.model.clone(), rollout_routing(config, split)))
            .collect()
    }
}
