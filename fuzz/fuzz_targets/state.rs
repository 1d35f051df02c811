//! Records of the state file, as a server finds them at its start: each is read or refused.
//!
//! The first byte selects the collection, and says whether rollouts are shared.
#![no_main]

use std::sync::{Arc, LazyLock};

use contract::{Catalog, ModelName, Result, Rollouts, Store, Traffic, Write};
use harness::server::{ROW, add_model, start};
use tempfile::TempDir;

const COLLECTIONS: [&str; 5] = [
    "desired_states",
    "rollouts",
    "applied_rollouts",
    "rollout_notifications",
    "history",
];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    add_model(folder.path(), "pair", &["1", "2"], ROW, "");
    folder
});

/// A store with one record, which is also the entry of each journal.
#[derive(Debug)]
struct OneRecord {
    collection: &'static str,
    text: String,
}

impl Store for OneRecord {
    fn records(&self, collection: &str) -> Result<Vec<(String, String)>> {
        let is_here = collection == self.collection;
        let record = is_here.then(|| ("pair".to_owned(), self.text.clone()));
        Ok(record.into_iter().collect())
    }

    fn entries(&self, _: &str, _: &str, _: usize) -> Result<Vec<String>> {
        Ok(vec![self.text.clone()])
    }

    fn write(&self, _: &[Write]) -> Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((selector, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let collection = COLLECTIONS[usize::from(selector & 0x7f) % COLLECTIONS.len()];
    let shared = (selector & 0x80 != 0).then(|| harness::server::shared_rollouts() as _);
    let store = Arc::new(OneRecord {
        collection,
        text: text.to_owned(),
    });
    harness::runtime().block_on(async {
        let started = start(FOLDER.path(), store, shared).await;
        let Ok(server) = started else {
            return;
        };
        drop(server.list());
        drop(server.status("pair"));
        drop(server.evidence("pair"));
        drop(server.transitions("pair", 10).await);
        let pair = ModelName::new("pair").expect("a name");
        drop(Traffic::history(&*server, &pair, 10).await);
        drop(server.models());
    });
});
