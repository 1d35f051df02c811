//! Documents of the leader of rollouts, as a follower gets them; a second one follows the first.
#![no_main]

use std::sync::{Arc, LazyLock};

use contract::{MemoryStore, RawJson, Rollouts};
use harness::server::{ROW, add_model, start};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    add_model(folder.path(), "pair", &["1", "2"], ROW, "");
    folder
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (first, second) = harness::split_line(data);
    harness::runtime().block_on(async {
        let store = Arc::new(MemoryStore::default());
        let leader = Some("http://127.0.0.1:9");
        let server = start(FOLDER.path(), store, leader).await;
        let server = server.expect("a server");
        for document in [first, second] {
            let Ok(text) = std::str::from_utf8(document) else {
                return;
            };
            if let Err(error) = server.follow(&RawJson::new(text)).await {
                assert_ne!(error.code(), contract::Code::Internal, "{error}");
            }
            drop(server.list());
        }
    });
});
