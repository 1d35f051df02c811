//! The state store: one SQLite file that survives restarts.
//!
//! Decision: a write-ahead log with full synchronization, because changes are rare and an
//! acknowledged change must survive a crash of the process and of the machine. SQLite is built in,
//! so no library of the system is needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::{Error, Store, Write};
use rusqlite::{Connection, params};

use crate::config::Config;

/// The name of the file.
const FILE: &str = "state.db";

/// The format of the tables; it grows with every change that an older version cannot read.
const FORMAT: i64 = 2;

/// The longest wait for another process that writes to the same file, far above the time of a
/// change.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS record (
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS journal (
        id INTEGER PRIMARY KEY,
        journal TEXT NOT NULL,
        key TEXT NOT NULL,
        entry TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS journal_by_key ON journal (journal, key, id);";

/// Renames the collections and journals of format 1.
const FROM_FORMAT_1: &str = "
    UPDATE record SET collection = 'desired_states' WHERE collection = 'wishes';
    UPDATE record SET collection = 'rollout_notifications' WHERE collection = 'rollout_notices';
    UPDATE journal SET journal = 'rollout_transitions' WHERE journal = 'rollout_moves';";

/// A store in one SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteStore(Mutex<Connection>);

/// Opens the store of a server; `None` when no folder was named and the default one cannot be
/// created.
///
/// # Errors
/// When the folder that the user named cannot be used, or the file cannot be read.
pub(crate) fn open(config: &Config) -> Result<Option<Arc<dyn Store>>> {
    if let Some(folder) = &config.state_dir {
        return Ok(Some(Arc::new(SqliteStore::open(folder)?)));
    }
    let folder = default_folder(config);
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Ok(Some(Arc::new(SqliteStore::open(&folder)?))),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(
                %folder, %error,
                "cannot create state folder; labels, pins and splits will be lost at exit"
            );
            Ok(None)
        }
    }
}

/// Returns the default folder, which is named after the repository.
fn default_folder(config: &Config) -> PathBuf {
    let first = config.repositories.first().cloned().unwrap_or_default();
    let path = std::fs::canonicalize(&first).unwrap_or(first);
    let name = path.display().to_string();
    let name = name
        .trim_start_matches('/')
        .replace('%', "%25")
        .replace('/', "%2F");
    config.data_dir.join("state").join(name)
}

impl SqliteStore {
    fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let open = || -> Result<Connection> {
            std::fs::create_dir_all(folder)?;
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            let format: i64 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if format > FORMAT {
                bail!("format {format} is newer than {FORMAT}, the latest that this version reads");
            }
            let migration = match format {
                1 => FROM_FORMAT_1,
                _ => "",
            };
            connection.execute_batch(&format!(
                "BEGIN; {TABLES} {migration} PRAGMA user_version = {FORMAT}; COMMIT;"
            ))?;
            Ok(connection)
        };
        let connection = open().with_context(|| {
            let path = path.display();
            format!("cannot open state store `{path}`; choose another folder with `state_dir`")
        })?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_write(&self, writes: &[Write]) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for write in writes {
            match write {
                Write::Put {
                    collection,
                    key,
                    value,
                } => transaction.execute(
                    "INSERT INTO record VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET value = excluded.value",
                    params![collection, key, value],
                )?,
                Write::Append {
                    journal,
                    key,
                    entry,
                } => transaction.execute(
                    "INSERT INTO journal (journal, key, entry) VALUES (?1, ?2, ?3)",
                    params![journal, key, entry],
                )?,
            };
        }
        transaction.commit()
    }
}

impl Store for SqliteStore {
    fn records(&self, collection: &str) -> contract::Result<Vec<(String, String)>> {
        let connection = self.connection();
        let read = || {
            let query = "SELECT key, value FROM record WHERE collection = ?1 ORDER BY key";
            let mut statement = connection.prepare(query)?;
            let rows = statement.query_map([collection], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| internal(&error))
    }

    fn entries(&self, journal: &str, key: &str, limit: usize) -> contract::Result<Vec<String>> {
        let connection = self.connection();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = || {
            let query = "SELECT entry FROM journal WHERE journal = ?1 AND key = ?2
                         ORDER BY id DESC LIMIT ?3";
            let mut statement = connection.prepare(query)?;
            let rows = statement.query_map(params![journal, key, limit], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| internal(&error))
    }

    fn write(&self, writes: &[Write]) -> contract::Result<()> {
        self.try_write(writes).map_err(|error| internal(&error))
    }
}

fn internal(error: &rusqlite::Error) -> Error {
    Error::internal(format!("state store failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        Write::Put {
            collection: "desired_states",
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    fn append(key: &str, entry: &str) -> Write {
        Write::Append {
            journal: "history",
            key: key.to_owned(),
            entry: entry.to_owned(),
        }
    }

    #[test]
    fn what_was_written_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state");
        let store = SqliteStore::open(&path).unwrap();
        let writes = [
            put("b", "1"),
            put("a", "2"),
            put("b", "3"),
            append("a", "x"),
        ];
        store.write(&writes).unwrap();
        store.write(&[append("a", "y"), append("b", "z")]).unwrap();
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        let expected = [("a", "2"), ("b", "3")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(store.records("desired_states").unwrap(), expected);
        assert_eq!(store.records("other").unwrap(), []);
        assert_eq!(store.entries("history", "a", 9).unwrap(), ["y", "x"]);
        assert_eq!(store.entries("history", "a", 1).unwrap(), ["y"]);
    }

    #[test]
    fn a_file_of_format_1_is_read_under_the_names_of_format_2() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let first_format = "
            INSERT INTO record VALUES ('wishes', 'a', '1'), ('rollout_notices', 'r', '2'),
                ('rollouts', 'r', '3');
            INSERT INTO journal (journal, key, entry) VALUES ('rollout_moves', 'r', '4'),
                ('history', 'a', '5');
            PRAGMA user_version = 1;";
        store.connection().execute_batch(first_format).unwrap();
        drop(store);
        let store = SqliteStore::open(folder.path()).unwrap();
        for (collection, key, value) in [
            ("desired_states", "a", "1"),
            ("rollout_notifications", "r", "2"),
            ("rollouts", "r", "3"),
        ] {
            let expected = [(key.to_owned(), value.to_owned())];
            assert_eq!(store.records(collection).unwrap(), expected, "{collection}");
        }
        assert_eq!(store.entries("rollout_transitions", "r", 9).unwrap(), ["4"]);
        assert_eq!(store.entries("history", "a", 9).unwrap(), ["5"]);
    }

    #[test]
    fn two_processes_may_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [(); 2].map(|()| SqliteStore::open(folder.path()).unwrap());
        std::thread::scope(|scope| {
            for store in &stores {
                scope.spawn(|| {
                    for number in 0..20 {
                        store.write(&[append("a", &number.to_string())]).unwrap();
                    }
                });
            }
        });
        assert_eq!(stores[0].entries("history", "a", 100).unwrap().len(), 40);
    }

    #[test]
    fn a_file_of_a_later_version_or_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        store
            .connection()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        drop(store);
        let error = format!("{:#}", SqliteStore::open(folder.path()).unwrap_err());
        assert!(error.contains("format 99 is newer"), "{error}");
        let other = tempfile::tempdir().unwrap();
        std::fs::write(
            other.path().join(FILE),
            "this is not a database, despite its name",
        )
        .unwrap();
        let error = format!("{:#}", SqliteStore::open(other.path()).unwrap_err());
        assert!(
            error.contains("choose another folder with `state_dir`"),
            "{error}"
        );
    }
}
