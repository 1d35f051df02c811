//! Rollouts as they are kept: enough to go on after a kill, and every move that was made.
//!
//! Decision: the file is kept as it was written and read again, so that there is one reader of
//! rollout files. A record says the version of its format; one of another format is an error at the
//! start instead of a guess.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Error, Result, Store, Write};
use serde::{Deserialize, Serialize};

use super::leader_state::{LeaderRollout, LeaderState};
use super::notifications::Notifications;
use super::replicas::Replicas;
use crate::repository::persistence::blocking;
use rollout::state::Progress;
use rollout::timestamp::Timestamp;

/// The format that is written.
const FORMAT: u32 = 1;

/// The records, by the id of the rollout.
const ROLLOUTS: &str = "rollouts";

/// What the leader said last about each rollout that was followed.
const FOLLOWED: &str = "followed_rollouts";

/// Letters that nobody has taken yet, by the id of the rollout that they are about.
const NOTIFICATIONS: &str = "rollout_notices";

/// The journals of moves, by the id of the rollout.
const TRANSITIONS: &str = "rollout_moves";

/// One rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    /// What somebody wrote.
    pub(super) file: String,
    /// Who started it.
    pub(super) actor: String,
    /// When.
    pub(super) started: Timestamp,
    /// How far it is.
    pub(super) progress: Progress,
    /// What identified the files of the candidate when they were loaded.
    pub(super) fingerprint: Option<String>,
    /// What followers had counted when `progress` was made.
    #[serde(default)]
    pub(super) replicas: Replicas,
}

impl Record {
    /// A record of a rollout that has just started.
    pub(super) fn new(file: &str, actor: &str, started: Timestamp, progress: Progress) -> Self {
        Self {
            format: FORMAT,
            file: file.to_owned(),
            actor: actor.to_owned(),
            started,
            progress,
            fingerprint: None,
            replicas: Replicas::default(),
        }
    }

    /// The same rollout, so far.
    pub(super) fn at(&self, progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }
}

/// Where rollouts are kept.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<dyn Store>);

impl Records {
    /// Records in a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Every rollout that was ever started, by id. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds what this version cannot read.
    pub(super) fn all(&self) -> Result<Vec<(String, Record)>> {
        let records = self.0.records(ROLLOUTS)?.into_iter();
        records
            .map(|(id, text)| {
                let record =
                    read(&text).map_err(|error| error.in_context(format!("rollout {id}")))?;
                Ok((id, record))
            })
            .collect()
    }

    /// Keeps a rollout, the moves that led to where it is, and who is to be told of it.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist(
        &self,
        id: &str,
        record: &Record,
        transitions: Vec<String>,
        notifications: Option<&Notifications>,
    ) -> Result<()> {
        let value = serde_json::to_string(record).map_err(|error| unwritable(&error))?;
        let put = Write::Put {
            collection: ROLLOUTS,
            key: id.to_owned(),
            value,
        };
        let transitions = transitions.into_iter().map(|entry| Write::Append {
            journal: TRANSITIONS,
            key: id.to_owned(),
            entry,
        });
        let notifications = notifications
            .map(|notifications| put_notifications(id, notifications))
            .transpose()?;
        let writes: Vec<_> = std::iter::once(put)
            .chain(notifications)
            .chain(transitions)
            .collect();
        let store = Arc::clone(&self.0);
        blocking(move || store.write(&writes)).await
    }

    /// What has to be told about each rollout. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn notifications(&self) -> Result<BTreeMap<String, Notifications>> {
        let records = self.0.records(NOTIFICATIONS)?.into_iter();
        let notifications = records.map(|(id, text)| Ok((id, Notifications::read(&text)?)));
        notifications.collect()
    }

    /// Keeps what has still to be told about a rollout.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist_notifications(
        &self,
        id: &str,
        notifications: &Notifications,
    ) -> Result<()> {
        let (store, put) = (Arc::clone(&self.0), put_notifications(id, notifications)?);
        blocking(move || store.write(&[put])).await
    }

    /// Every rollout that was ever followed. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn followed(&self) -> Result<Vec<LeaderRollout>> {
        let mut followed = Vec::new();
        for (id, text) in self.0.records(FOLLOWED)? {
            let leader_state = LeaderState::read(&text).map_err(|error| {
                let message = error.message();
                Error::internal(format!("the followed rollout {id}: {message}"))
            })?;
            followed.extend(leader_state.rollouts);
        }
        Ok(followed)
    }

    /// Keeps how far a rollout is that is followed.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist_followed(&self, leader_rollout: &LeaderRollout) -> Result<()> {
        let value = LeaderState::new(vec![leader_rollout.clone()]).document()?;
        let put = Write::Put {
            collection: FOLLOWED,
            key: leader_rollout.id.clone(),
            value: value.as_str().to_owned(),
        };
        let store = Arc::clone(&self.0);
        blocking(move || store.write(&[put])).await
    }

    /// The last moves of a rollout, the newest first, as JSON.
    ///
    /// # Errors
    /// `internal` when the store cannot be read.
    pub(super) async fn transitions(&self, id: &str, limit: usize) -> Result<Vec<String>> {
        let (store, id) = (Arc::clone(&self.0), id.to_owned());
        blocking(move || store.entries(TRANSITIONS, &id, limit)).await
    }
}

fn put_notifications(id: &str, notifications: &Notifications) -> Result<Write> {
    Ok(Write::Put {
        collection: NOTIFICATIONS,
        key: id.to_owned(),
        value: notifications.to_text()?,
    })
}

fn read(text: &str) -> Result<Record> {
    let record: Record = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    match record.format {
        FORMAT => Ok(record),
        format => Err(Error::internal(format!(
            "the stored rollout has format {format}, and this version reads {FORMAT}"
        ))),
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::internal(format!("the stored rollout cannot be read: {error}"))
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::internal(format!("a rollout cannot be written: {error}"))
}

#[cfg(test)]
mod tests;
