//! In-memory store for servers without a persistent one; it lives as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::store::{Store, Write};

/// The most entries of one journal that are kept, because memory is limited.
const MAX_ENTRIES: usize = 1000;

/// Store that keeps everything in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    records: BTreeMap<(&'static str, String), String>,
    journals: BTreeMap<(&'static str, String), Vec<String>>,
}

impl MemoryStore {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn records(&self, collection: &str) -> Result<Vec<(String, String)>> {
        let contents = self.contents();
        let records = contents.records.iter();
        Ok(records
            .filter(|((known, _), _)| *known == collection)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn entries(&self, journal: &str, key: &str, limit: usize) -> Result<Vec<String>> {
        let contents = self.contents();
        let found = contents.journals.iter();
        let mut found = found.filter(|((known, of), _)| *known == journal && of == key);
        let entries = found.next().map(|(_, entries)| entries.as_slice());
        let entries = entries.unwrap_or_default().iter().rev();
        Ok(entries.take(limit).cloned().collect())
    }

    fn write(&self, writes: &[Write]) -> Result<()> {
        let mut contents = self.contents();
        for write in writes.iter().cloned() {
            match write {
                Write::Put {
                    collection,
                    key,
                    value,
                } => {
                    contents.records.insert((collection, key), value);
                }
                Write::Append {
                    journal,
                    key,
                    entry,
                } => {
                    let entries = contents.journals.entry((journal, key)).or_default();
                    entries.push(entry);
                    if entries.len() > MAX_ENTRIES {
                        entries.remove(0);
                    }
                }
                Write::Clear { journal, key } => {
                    contents.journals.remove(&(journal, key));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(entry: &str) -> Write {
        Write::Append {
            journal: "history",
            key: "digits".to_owned(),
            entry: entry.to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let store = MemoryStore::default();
        let put = |key: &str, value: &str| Write::Put {
            collection: "models",
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let writes = [put("a", "1"), put("b", "2"), put("a", "3"), append("x")];
        store.write(&writes).unwrap();
        store.write(&[append("y")]).unwrap();
        let expected = [("a", "3"), ("b", "2")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(store.records("models").unwrap(), expected);
        assert_eq!(store.records("other").unwrap(), []);
        assert_eq!(store.entries("history", "digits", 9).unwrap(), ["y", "x"]);
        assert_eq!(store.entries("history", "digits", 1).unwrap(), ["y"]);
        assert_eq!(store.entries("history", "iris", 9).unwrap(), [""; 0]);
    }

    #[test]
    fn a_journal_in_memory_forgets_its_oldest_entries() {
        let store = MemoryStore::default();
        let entries: Vec<_> = (0..=MAX_ENTRIES).map(|n| append(&n.to_string())).collect();
        store.write(&entries).unwrap();
        let contents = store.entries("history", "digits", usize::MAX).unwrap();
        assert_eq!(
            (contents.len(), contents.last().unwrap().as_str()),
            (MAX_ENTRIES, "1")
        );
    }
}
