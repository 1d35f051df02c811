//! `Store`: state that survives a restart.
//!
//! Decision: the store knows keys and text, never their meaning, so that a new kind of state needs
//! no new store. The writer of a value gives it a format version.

use std::fmt;

use crate::error::Result;

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Store a value under a key, in place of the previous one.
    Put {
        /// The kind of state.
        collection: &'static str,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Add an entry to the end of a journal.
    Append {
        /// The kind of journal.
        journal: &'static str,
        /// The key of the journal.
        key: String,
        /// The entry.
        entry: String,
    },
    /// Remove all entries of a journal.
    Clear {
        /// The kind of journal.
        journal: &'static str,
        /// The key of the journal.
        key: String,
    },
}

/// Persists records under keys, and journals. Every method blocks; may be called from many threads.
pub trait Store: Send + Sync + fmt::Debug {
    /// Returns every record of a collection, as key and value.
    ///
    /// # Errors
    /// `internal` when they cannot be read.
    fn records(&self, collection: &str) -> Result<Vec<(String, String)>>;

    /// Returns the last `limit` entries of a journal, the newest first.
    ///
    /// # Errors
    /// `internal` when they cannot be read.
    fn entries(&self, journal: &str, key: &str, limit: usize) -> Result<Vec<String>>;

    /// Applies all of `writes`, or none. After it returns, they survive the end of the process,
    /// even by a crash.
    ///
    /// # Errors
    /// `internal` when they cannot be persisted.
    fn write(&self, writes: &[Write]) -> Result<()>;
}
