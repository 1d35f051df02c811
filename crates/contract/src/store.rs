//! `Store`: what must survive a restart.
//!
//! Decision: the store knows keys and text, never what they mean, so that a new kind of state needs
//! no new store. Whoever writes a value gives it a version of its own.

use std::fmt;

use crate::error::Result;

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Keep a value in place of what is under the key.
    Put {
        /// What kind of state it is.
        collection: &'static str,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Add an entry to the end of a journal.
    Append {
        /// What kind of journal it is.
        journal: &'static str,
        /// Whose.
        key: String,
        /// The entry.
        entry: String,
    },
}

/// Keeps records under keys, and journals. Every method blocks; may be called from many threads.
pub trait Store: Send + Sync + fmt::Debug {
    /// Every record of a collection, as key and value.
    ///
    /// # Errors
    /// `internal` when they cannot be read.
    fn records(&self, collection: &str) -> Result<Vec<(String, String)>>;

    /// The last `limit` entries of a journal, the newest first.
    ///
    /// # Errors
    /// `internal` when they cannot be read.
    fn entries(&self, journal: &str, key: &str, limit: usize) -> Result<Vec<String>>;

    /// Carries out all of `writes`, or none. After it returns, they survive the end of the process,
    /// however it ends.
    ///
    /// # Errors
    /// `internal` when they cannot be kept.
    fn write(&self, writes: &[Write]) -> Result<()>;
}
