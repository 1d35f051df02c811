//! State of other servers in the store of shared rollouts: a record, then a block of counts or an
//! operator action.
#![no_main]

use std::sync::{Arc, LazyLock};

use contract::{ActionRequest, MemoryStore, ModelName, NewRollout, Push, Rollouts, SharedRollouts};
use harness::server::{ROW, add_model, shared_rollouts, start};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    add_model(folder.path(), "pair", &["1", "2"], ROW, "");
    folder
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (record, text) = harness::split_line(data);
    let (Ok(record), Ok(text)) = (std::str::from_utf8(record), std::str::from_utf8(text)) else {
        return;
    };
    harness::runtime().block_on(async {
        let shared = shared_rollouts();
        let model = ModelName::new("pair").expect("a name");
        let rollout = NewRollout {
            model: &model,
            id: "pair",
            record,
        };
        shared.create(rollout).await.expect("a new rollout");
        let push = Push {
            replica: "other",
            sequence: 1,
            block: text,
            units: &[],
            keep_units: std::time::Duration::from_secs(60),
        };
        shared.push("pair", push).await.expect("a new block");
        let request = ActionRequest {
            id: "request".to_owned(),
            action: text.to_owned(),
        };
        shared.request_action("pair", &request).await.expect("a request");
        let store = Arc::new(MemoryStore::default());
        let server = start(FOLDER.path(), store, Some(Arc::clone(&shared) as _)).await;
        let server = server.expect("a server");
        for _ in 0..2 {
            server.exchange_rollouts().await;
            drop(server.list());
        }
    });
});
