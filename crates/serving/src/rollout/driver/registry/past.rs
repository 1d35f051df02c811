//! What was there before a restart.

use std::sync::Arc;

use contract::{Code, Error, ModelName, Result};

use super::super::course::Clock;
use super::super::notices::Notices;
use super::super::record::{Record, Records};
use super::super::told::ToldRollout;
use super::{split_of, steering};
use crate::repository::ledger::Steering;
use crate::rollout::config::RolloutConfig;
use crate::rollout::state::{Action, Rollout};
use crate::route::ActiveSplit;

/// Rollouts from before a restart.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(super) running: Vec<(Rollout, Record, Vec<Action>, Arc<ActiveSplit>)>,
    pub(super) ended: Vec<(Rollout, Record)>,
    pub(super) notices: Vec<(String, ModelName, Notices)>,
    pub(super) followed: Vec<(RolloutConfig, Arc<ActiveSplit>, ToldRollout)>,
}

impl Past {
    /// Reads what is kept. Blocks. With a `leader`, that server decides from now on.
    ///
    /// # Errors
    /// `internal` when it cannot be read, or `conflict` when two servers would decide.
    pub(crate) fn read(records: &Records, leader: Option<&str>) -> Result<Self> {
        let now = Clock::start().now();
        let mut past = Self::default();
        let mut notices = records.notices()?;
        for (id, record) in records.all()? {
            let foreign = |error: String| {
                Error::internal(format!("the stored rollout {id} cannot go on: {error}"))
            };
            let config = RolloutConfig::parse(&record.file);
            let config = config.map_err(|error| foreign(error.to_string()))?;
            if let Some(notices) = notices.remove(&id).filter(|notices| !notices.is_empty()) {
                let model = config.model.clone();
                past.notices.push((id.clone(), model, notices));
            }
            let resumed = Rollout::resume(config, record.progress.clone(), now);
            let (rollout, actions) = resumed.map_err(|error| foreign(error.to_string()))?;
            if rollout.progress().phase.is_final() {
                past.ended.push((rollout, record));
            } else {
                let split = split_of(&rollout)?;
                past.running.push((rollout, record, actions, split));
            }
        }
        if let (Some(leader), Some((rollout, ..))) = (leader, past.running.first()) {
            let id = &rollout.config().id;
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "the rollout `{id}` runs here; end it before the server at `{leader}` decides"
                ),
            ));
        }
        for told in records.followed()? {
            past.follow(told, leader.is_some())?;
        }
        Ok(past)
    }

    /// Without a leader, stable answers.
    fn follow(&mut self, told: ToldRollout, has_leader: bool) -> Result<()> {
        let config = RolloutConfig::parse(&told.file);
        let config = config.map_err(|error| {
            let id = &told.id;
            Error::internal(format!("the followed rollout {id} cannot go on: {error}"))
        })?;
        let weight = match has_leader {
            true => told.weight,
            false => 0.0,
        };
        let split = Arc::new(ActiveSplit::new(config.split(weight), "")?);
        self.followed.push((config, split, told));
        Ok(())
    }

    /// What they had decided, for the first snapshot: a restart must not send traffic elsewhere.
    pub(crate) fn steerings(&self) -> Vec<(ModelName, Steering)> {
        let running = self.running.iter();
        let own = running.map(|(rollout, _, _, split)| (rollout.config(), split));
        let followed = self.followed.iter();
        let followed = followed.filter(|(_, _, told)| told.winner.is_none());
        own.chain(followed.map(|(config, split, _)| (config, split)))
            .map(|(config, split)| (config.model.clone(), steering(config, split)))
            .collect()
    }
}
