//! Rollout files that were started, in the store.

use std::collections::BTreeMap;

use contract::{Error, ModelName, Result, Store, Version, Write};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Version of the format that is written.
const FORMAT: u32 = 1;

/// Collection of the started files, by model.
const COLLECTION: &str = "started_rollout_files";

/// Number of files of a model that are remembered: a file that comes back after so many others is a
/// new one.
const MAX_FILES: usize = 100;

/// The content of a rollout file, and the candidate that it would start with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKey {
    hash: String,
    candidate: String,
}

impl FileKey {
    /// Creates the key of a text and a candidate.
    #[must_use]
    pub fn new(text: &str, candidate: &Version) -> Self {
        Self {
            hash: format!("{:016x}", xxh3_64(text.as_bytes())),
            candidate: candidate.to_string(),
        }
    }
}

/// The files of a model that are not to be started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedFiles {
    format: u32,
    /// The last rollout that a file has started, and the file.
    last: Option<(String, FileKey)>,
    /// The files, the newest last.
    files: Vec<FileKey>,
}

impl Default for StartedFiles {
    fn default() -> Self {
        Self {
            format: FORMAT,
            last: None,
            files: Vec::new(),
        }
    }
}

impl StartedFiles {
    /// Returns the started files of every model. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds a record that this version cannot read.
    pub fn all(store: &dyn Store) -> Result<BTreeMap<ModelName, Self>> {
        let records = store.records(COLLECTION)?.into_iter();
        records
            .map(|(model, text)| Ok((ModelName::new(&model)?, Self::read(&text)?)))
            .collect()
    }

    fn read(text: &str) -> Result<Self> {
        let started: Self = serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("stored rollout files: {error}")))?;
        match started.format {
            FORMAT => Ok(started),
            format => Err(Error::internal(format!(
                "stored rollout files have format {format}, but this version reads {FORMAT}"
            ))),
        }
    }

    /// Persists the files of a model. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub fn persist(&self, store: &dyn Store, model: &ModelName) -> Result<()> {
        let value = serde_json::to_string(self)
            .map_err(|error| Error::internal(format!("failed to write rollout files: {error}")))?;
        store.write(&[Write::Put {
            collection: COLLECTION,
            key: model.to_string(),
            value,
        }])
    }

    /// Returns whether a file is not to be started again.
    #[must_use]
    pub fn contains(&self, key: &FileKey) -> bool {
        self.files.contains(key)
    }

    /// Returns whether this text has started a rollout.
    #[must_use]
    pub fn has_started(&self, rollout: &str, key: &FileKey) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|(id, last)| id == rollout && last.hash == key.hash)
    }

    /// Adds a file, and the rollout that it has started; returns whether anything has changed.
    pub fn add(&mut self, rollout: Option<String>, key: FileKey) -> bool {
        let is_new = !self.contains(&key);
        if is_new {
            self.files.push(key.clone());
            let n_surplus = self.files.len().saturating_sub(MAX_FILES);
            self.files.drain(..n_surplus);
        }
        let has_started = rollout.is_some();
        if let Some(rollout) = rollout {
            self.last = Some((rollout, key));
        }
        is_new || has_started
    }
}

#[cfg(test)]
mod tests {
    use contract::MemoryStore;

    use super::*;

    fn key(text: &str) -> FileKey {
        FileKey::new(text, &Version::new("2").unwrap())
    }

    #[test]
    fn the_first_format_is_still_written_and_read() {
        let (store, model) = (MemoryStore::default(), ModelName::new("digits").unwrap());
        let mut started = StartedFiles::default();
        assert!(started.add(Some("digits-2".to_owned()), key("a")));
        started.persist(&store, &model).unwrap();
        let stored = &store.records(COLLECTION).unwrap()[0].1;
        let expected = r#"{"format":1,"last":["digits-2",{"hash":"e6c632b61e964e1f","candidate":"2"}],"files":[{"hash":"e6c632b61e964e1f","candidate":"2"}]}"#;
        assert_eq!(stored, expected);
        assert_eq!(StartedFiles::all(&store).unwrap()[&model], started);
        let newer = expected.replace("\"format\":1", "\"format\":2");
        assert!(StartedFiles::read(&newer).is_err());
    }

    #[test]
    fn the_oldest_files_are_forgotten() {
        let mut started = StartedFiles::default();
        for number in 0..=MAX_FILES {
            assert!(started.add(None, key(&number.to_string())));
            assert!(!started.add(None, key(&number.to_string())));
        }
        assert!(!started.contains(&key("0")) && started.contains(&key("1")));
    }
}
