//! The state store: one SQLite file that survives restarts.
//!
//! Decision: a write-ahead log with full synchronization, because changes are rare and an
//! acknowledged change must survive a crash of the process and of the machine. SQLite is built in,
//! so no library of the system is needed. One process owns the file, because each reads it only
//! once: a second one would overwrite changes and resume rollouts that have ended.

mod lock;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::{Error, Store, Write};
use rusqlite::{Connection, params};

use crate::config::Config;

use lock::FolderLock;

/// The name of the file.
const FILE: &str = "state.db";

/// The format of the tables; it grows with every change that an older version cannot read.
const FORMAT: i64 = 2;

/// Time for which a process that reads the file, such as a backup, may delay a change.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Time in which an earlier process may end. A restart overlaps with the drain of the process that
/// it replaces, which takes less than this unless requests run for long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

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
pub(crate) struct SqliteStore {
    connection: Mutex<Connection>,
    /// Held until the store is dropped.
    _lock: FolderLock,
}

/// Opens the store of a server. The default folder is used when it can be: without it, the reason
/// comes back as a warning, for nobody asked for state.
///
/// # Errors
/// When the folder that the user named cannot be used.
pub(crate) fn open(config: &Config) -> Result<Result<Arc<dyn Store>, String>> {
    open_in(
        config.state_dir.as_deref(),
        &default_folder(config),
        LOCK_TIMEOUT,
    )
}

fn open_in(
    named: Option<&Path>,
    default: &Path,
    timeout: Duration,
) -> Result<Result<Arc<dyn Store>, String>> {
    if let Some(folder) = named {
        return Ok(Ok(Arc::new(SqliteStore::open(folder, timeout)?)));
    }
    match SqliteStore::open(default, timeout) {
        Ok(store) => Ok(Ok(Arc::new(store))),
        Err(error) => {
            let warning = format!("{error:#}; labels, pins, splits and rollouts are lost at exit");
            tracing::warn!(%error, warning, "serving without a state store");
            Ok(Err(warning))
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
    fn open(folder: &Path, timeout: Duration) -> Result<Self> {
        let path = folder.join(FILE);
        let open = || -> Result<Self> {
            std::fs::create_dir_all(folder)?;
            let lock = FolderLock::acquire(folder, timeout)?;
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            let format: i64 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if format > FORMAT {
                bail!("format {format} is newer than {FORMAT}, the latest that this version reads");
            }
            check(&connection)?;
            let migration = match format {
                1 => FROM_FORMAT_1,
                _ => "",
            };
            connection.execute_batch(&format!(
                "BEGIN; {TABLES} {migration} PRAGMA user_version = {FORMAT}; COMMIT;"
            ))?;
            Ok(Self {
                connection: Mutex::new(connection),
                _lock: lock,
            })
        };
        open().with_context(|| {
            let path = path.display();
            format!("cannot open state store `{path}`; choose another folder with `state_dir`")
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
                Write::Clear { journal, key } => transaction.execute(
                    "DELETE FROM journal WHERE journal = ?1 AND key = ?2",
                    params![journal, key],
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

/// Reads the whole file, which has at most some megabytes, and refuses a damaged one.
fn check(connection: &Connection) -> Result<()> {
    let answer: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if answer != "ok" {
        bail!("the file is damaged: {answer}");
    }
    Ok(())
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
        let store = SqliteStore::open(&path, Duration::ZERO).unwrap();
        let writes = [
            put("b", "1"),
            put("a", "2"),
            put("b", "3"),
            append("a", "x"),
        ];
        store.write(&writes).unwrap();
        store.write(&[append("a", "y"), append("b", "z")]).unwrap();
        drop(store);
        let store = SqliteStore::open(&path, Duration::ZERO).unwrap();
        let expected = [("a", "2"), ("b", "3")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(store.records("desired_states").unwrap(), expected);
        assert_eq!(store.records("other").unwrap(), []);
        assert_eq!(store.entries("history", "a", 9).unwrap(), ["y", "x"]);
        assert_eq!(store.entries("history", "a", 1).unwrap(), ["y"]);
    }

    #[test]
    fn a_file_of_format_1_is_read_under_the_names_of_format_2() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
        let first_format = "
            INSERT INTO record VALUES ('wishes', 'a', '1'), ('rollout_notices', 'r', '2'),
                ('rollouts', 'r', '3');
            INSERT INTO journal (journal, key, entry) VALUES ('rollout_moves', 'r', '4'),
                ('history', 'a', '5');
            PRAGMA user_version = 1;";
        store.connection().execute_batch(first_format).unwrap();
        drop(store);
        let store = SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
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

    /// Opens a folder that the user named, and the same one as the default; returns the refusal and
    /// the warning.
    fn refusal_and_warning(folder: &Path) -> (String, String) {
        let refusal = open_in(Some(folder), Path::new("/"), Duration::ZERO).unwrap_err();
        let warning = open_in(None, folder, Duration::ZERO).unwrap().unwrap_err();
        (format!("{refusal:#}"), warning)
    }

    #[test]
    fn a_store_in_use_is_refused_where_it_was_asked_for_and_left_out_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let first = SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
        let (refusal, warning) = refusal_and_warning(folder.path());
        let process = format!("process {} uses it", std::process::id());
        assert!(refusal.contains(&process), "{refusal}");
        assert!(warning.contains(&process), "{warning}");
        assert!(warning.contains("are lost at exit"), "{warning}");
        drop(first);
        SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_where_it_was_asked_for_and_left_out_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
        let entries: Vec<_> = (0..2000).map(|n| append("a", &n.to_string())).collect();
        store.write(&entries).unwrap();
        drop(store);
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..12288].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        let (refusal, warning) = refusal_and_warning(folder.path());
        assert!(refusal.contains("cannot open state store"), "{refusal}");
        assert!(warning.contains("cannot open state store"), "{warning}");
    }

    #[test]
    fn a_file_of_a_later_version_or_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Duration::ZERO).unwrap();
        store
            .connection()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        drop(store);
        let error = format!(
            "{:#}",
            SqliteStore::open(folder.path(), Duration::ZERO).unwrap_err()
        );
        assert!(error.contains("format 99 is newer"), "{error}");
        let other = tempfile::tempdir().unwrap();
        std::fs::write(
            other.path().join(FILE),
            "this is not a database, despite its name",
        )
        .unwrap();
        let error = format!(
            "{:#}",
            SqliteStore::open(other.path(), Duration::ZERO).unwrap_err()
        );
        assert!(
            error.contains("choose another folder with `state_dir`"),
            "{error}"
        );
    }
}
