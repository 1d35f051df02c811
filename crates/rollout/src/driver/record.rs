//! Persisted rollouts: enough to resume after a kill, and all transitions.
//!
//! Decision: the rollout file is stored as written and parsed again, so that there is one parser of
//! rollout files. A record has the version of its format; an unknown format is an error at startup
//! instead of a guess. Evidence of the first format was counted by other rules, so such a rollout
//! goes on without evidence.

mod commits;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Error, Result, Store, Write};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::epoch_units::{EpochUnits, JournalChange};
use super::notifications::Notifications;
use crate::config::RolloutConfig;
use crate::evidence::Evidence;
use crate::state::Progress;
use crate::timestamp::Timestamp;

pub(super) use commits::Commits;

/// Version of the format that is written.
const FORMAT: u32 = 2;

/// Collection of the records, by id of the rollout.
const ROLLOUTS: &str = "rollouts";

/// Collection of the shared rollouts as this server applied them, by id.
const APPLIED: &str = "applied_rollouts";

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
    /// The number of shared counts that `progress` contains; 0 for a rollout of one server.
    #[serde(default)]
    pub(super) n_counted: u64,
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
            n_counted: 0,
        }
    }

    /// Parses a record.
    ///
    /// # Errors
    /// `internal` when this version cannot read it.
    pub(super) fn read(text: &str) -> Result<Self> {
        read(text)
    }

    /// Returns the text to store.
    ///
    /// # Errors
    /// `internal` when it cannot be serialized.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| unwritable(&error))
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
pub struct Records {
    store: Arc<dyn Store>,
    /// The decisions about a shared rollout, in place of records in the store.
    commits: Option<Arc<Commits>>,
}

impl Records {
    /// Creates records in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            commits: None,
        }
    }

    /// Returns the records of a task that decides about a shared rollout.
    pub(super) fn shared(&self, commits: Arc<Commits>) -> Self {
        Self {
            store: Arc::clone(&self.store),
            commits: Some(commits),
        }
    }

    /// Returns whether these are the records of a shared rollout.
    pub(super) fn is_shared(&self) -> bool {
        self.commits.is_some()
    }

    /// Returns every rollout that was ever started, by id. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds a record that this version cannot read.
    pub(super) fn all(&self) -> Result<Vec<(String, Record)>> {
        let records = self.store.records(ROLLOUTS)?.into_iter();
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
        if let Some(commits) = &self.commits {
            commits.commit(id, record, &transitions).await?;
            // Only this server sends them.
            return match notifications {
                Some(notifications) => self.persist_notifications(id, notifications).await,
                None => Ok(()),
            };
        }
        let value = record.to_text()?;
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
        let store = Arc::clone(&self.store);
        blocking(move || store.write(&writes)).await
    }

    /// Returns the units of a rollout that were counted. Blocks.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) fn units(&self, id: &str) -> Result<EpochUnits> {
        let entries = self.store.entries(UNITS, id, usize::MAX)?.into_iter();
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
        let records = self.store.records(NOTIFICATIONS)?.into_iter();
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
        let (store, put) = (
            Arc::clone(&self.store),
            put_notifications(id, notifications)?,
        );
        blocking(move || store.write(&[put])).await
    }

    /// Returns every shared rollout as this server applied it, by id, as text. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read.
    pub(super) fn applied(&self) -> Result<Vec<(String, String)>> {
        self.store.records(APPLIED)
    }

    /// Persists a shared rollout as this server applies it.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(super) async fn persist_applied(&self, id: &str, applied: String) -> Result<()> {
        let put = Write::Put {
            collection: APPLIED,
            key: id.to_owned(),
            value: applied,
        };
        let store = Arc::clone(&self.store);
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
        let (store, key) = (Arc::clone(&self.store), journal_key(id, run));
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
    // The counts of replicas of that format were evidence, too.
    if let Some(record) = record.as_object_mut() {
        record.remove("replicas");
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
