//! Persisted rollouts: enough to resume after a kill, and all transitions.
//!
//! Decision: the rollout file is stored as written and parsed again, so that there is one parser of
//! rollout files. A record has the version of its format; an unknown format is an error at startup
//! instead of a guess. Evidence of the first format was counted by other rules, so such a rollout
//! goes on without evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::rollout::LeaderRollout;
use contract::{Error, Result, Store, Write};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::epoch_units::{EpochUnits, JournalChange};
use super::leader_state;
use super::notifications::Notifications;
use super::replicas::Replicas;
use crate::config::RolloutConfig;
use crate::evidence::Evidence;
use crate::state::Progress;
use crate::timestamp::Timestamp;

/// Version of the format that is written.
const FORMAT: u32 = 2;

/// Collection of the records, by id of the rollout.
const ROLLOUTS: &str = "rollouts";

/// Collection of the last state from the leader of each followed rollout.
const FOLLOWED: &str = "followed_rollouts";

/// Collection of the undelivered notifications, by id of the rollout.
const NOTIFICATIONS: &str = "rollout_notifications";

/// Journals of the transitions, by id of the rollout.
const TRANSITIONS: &str = "rollout_transitions";

/// Journals of the counted units, by id of the rollout.
const UNITS: &str = "rollout_units";

/// The record of one rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    /// The rollout file as written.
    pub(super) file: String,
    /// The number of the run of its id, from 1.
    #[serde(default = "first_run")]
    pub(super) run: u64,
    /// Actor who started it.
    pub(super) actor: String,
    /// Time of the start.
    pub(super) started: Timestamp,
    /// Progress of the state machine.
    pub(super) progress: Progress,
    /// Fingerprint of the files of the candidate, in a record of an earlier version. It differs for
    /// a copy, so it is not compared.
    #[serde(default, skip_serializing)]
    fingerprint: Option<IgnoredAny>,
    /// Content hash of the candidate when it was loaded.
    #[serde(default)]
    pub(super) content_hash: Option<String>,
    /// Counters of the replicas at the time of `progress`.
    #[serde(default)]
    pub(super) replicas: Replicas,
}

impl Record {
    /// Creates the record of a rollout that has just started.
    pub(super) fn new(file: &str, actor: &str, started: Timestamp, progress: Progress) -> Self {
        Self {
            format: FORMAT,
            file: file.to_owned(),
            run: first_run(),
            actor: actor.to_owned(),
            started,
            progress,
            fingerprint: None,
            content_hash: None,
            replicas: Replicas::default(),
        }
    }

    /// Returns the same record with newer progress.
    pub(super) fn at(&self, progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }
}

/// The stored rollouts.
#[derive(Clone, Debug)]
pub struct Records(Arc<dyn Store>);

impl Records {
    /// Creates records in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Returns every rollout that was ever started, by id. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds a record that this version cannot read.
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

    /// Persists a rollout, its new transitions, its newly counted units, and its notifications.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist(
        &self,
        id: &str,
        record: &Record,
        transitions: Vec<String>,
        units: Option<JournalChange>,
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
            key: journal_key(id, record.run),
            entry,
        });
        let notifications = notifications
            .map(|notifications| put_notifications(id, notifications))
            .transpose()?;
        let units = units.map(|change| units_writes(id, &change)).transpose()?;
        let writes: Vec<_> = std::iter::once(put)
            .chain(notifications)
            .chain(units.into_iter().flatten())
            .chain(transitions)
            .collect();
        let store = Arc::clone(&self.0);
        blocking(move || store.write(&writes)).await
    }

    /// Returns the units of a rollout that were counted. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn units(&self, id: &str) -> Result<EpochUnits> {
        let entries = self.0.entries(UNITS, id, usize::MAX)?.into_iter();
        let entries = entries.map(|entry| serde_json::from_str(&entry));
        let entries: Result<_, _> = entries.collect();
        Ok(EpochUnits::restored(
            entries.map_err(|error| unreadable(&error))?,
        ))
    }

    /// Returns the stored notifications of each rollout. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn notifications(&self) -> Result<BTreeMap<String, Notifications>> {
        let records = self.0.records(NOTIFICATIONS)?.into_iter();
        let notifications = records.map(|(id, text)| Ok((id, Notifications::read(&text)?)));
        notifications.collect()
    }

    /// Persists the undelivered notifications of a rollout.
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

    /// Returns every rollout that was ever followed. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn followed(&self) -> Result<Vec<LeaderRollout>> {
        let mut followed = Vec::new();
        for (id, text) in self.0.records(FOLLOWED)? {
            let rollouts = leader_state::read(&text).map_err(|error| {
                let message = error.message();
                Error::internal(format!("followed rollout `{id}`: {message}"))
            })?;
            followed.extend(rollouts);
        }
        Ok(followed)
    }

    /// Persists the applied state of a followed rollout.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist_followed(&self, leader_rollout: &LeaderRollout) -> Result<()> {
        let value = leader_state::document(vec![leader_rollout.clone()])?;
        let put = Write::Put {
            collection: FOLLOWED,
            key: leader_rollout.id.clone(),
            value: value.as_str().to_owned(),
        };
        let store = Arc::clone(&self.0);
        blocking(move || store.write(&[put])).await
    }

    /// Returns the last transitions of a run of a rollout, the newest first, as JSON.
    ///
    /// # Errors
    /// `internal` when the store cannot be read.
    pub(super) async fn transitions(
        &self,
        id: &str,
        run: u64,
        limit: usize,
    ) -> Result<Vec<String>> {
        let (store, key) = (Arc::clone(&self.0), journal_key(id, run));
        blocking(move || store.entries(TRANSITIONS, &key, limit)).await
    }
}

/// The run of a rollout whose id was used once.
fn first_run() -> u64 {
    1
}

/// Returns the key of the transitions of a run. No id has a slash.
fn journal_key(id: &str, run: u64) -> String {
    match run {
        1 => id.to_owned(),
        run => format!("{id}/{run}"),
    }
}

/// Runs work with the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| Error::internal(format!("failed to access the store: {error}")))?
}

/// Returns the writes that bring the journal of the units up to date.
fn units_writes(id: &str, change: &JournalChange) -> Result<Vec<Write>> {
    let (journal, key) = (UNITS, id.to_owned());
    let clear = change.clears.then(|| Write::Clear {
        journal,
        key: key.clone(),
    });
    let append = Write::Append {
        journal,
        key,
        entry: serde_json::to_string(&change.entry).map_err(|error| unwritable(&error))?,
    };
    Ok(clear.into_iter().chain([append]).collect())
}

fn put_notifications(id: &str, notifications: &Notifications) -> Result<Write> {
    Ok(Write::Put {
        collection: NOTIFICATIONS,
        key: id.to_owned(),
        value: notifications.to_text()?,
    })
}

fn read(text: &str) -> Result<Record> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    match value.get("format").and_then(Value::as_u64) {
        Some(1) => upgrade(&mut value)?,
        Some(format) if format == u64::from(FORMAT) => {}
        format => {
            let format = format.unwrap_or_default();
            return Err(Error::internal(format!(
                "stored rollout has format {format}, but this version reads 1 and {FORMAT}"
            )));
        }
    }
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

/// Upgrades a record of the first format: its evidence starts again.
fn upgrade(record: &mut Value) -> Result<()> {
    let file = record.get("file").and_then(Value::as_str);
    let config = RolloutConfig::parse(file.unwrap_or_default());
    // An ended rollout may have a file that is refused now; it is not resumed.
    let metrics = config.map(|config| Evidence::new(&config)).ok();
    let evidence = serde_json::to_value(metrics.unwrap_or_default());
    let evidence = evidence.map_err(|error| unwritable(&error))?;
    let changes = [
        ("/format", FORMAT.into()),
        ("/progress/evidence", evidence),
        ("/progress/soak", Value::Null),
    ];
    for (path, value) in changes {
        if let Some(place) = record.pointer_mut(path) {
            *place = value;
        }
    }
    Ok(())
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::internal(format!("stored rollout cannot be read: {error}"))
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::internal(format!("failed to serialize rollout: {error}"))
}

#[cfg(test)]
mod tests;
