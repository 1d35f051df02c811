//! The settings of a model: `model.yaml` in the folder of a running server.
//!
//! A scan reads it as after any change of the file; the state of the model must be shown then,
//! whether it was loaded or not, and another model goes on.
#![no_main]

use std::fs;
use std::sync::{Arc, LazyLock};

use contract::{Catalog, MemoryStore};
use harness::server::{ROW, add_model, start};
use serving::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

static SERVER: LazyLock<(Runtime, TempDir, Arc<Server>)> = LazyLock::new(|| {
    let runtime = harness::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["changed", "other"] {
        add_model(folder.path(), name, &["1", "2"], ROW, "");
    }
    let server = start(folder.path(), Arc::new(MemoryStore::default()), None);
    let server = runtime.block_on(server).expect("a server");
    (runtime, folder, server)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (runtime, folder, server) = &*SERVER;
    let file = folder.path().join("changed/model.yaml");
    fs::write(file, data).expect("a file");
    runtime.block_on(server.rescan()).expect("a scan");
    let models = server.models();
    let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["changed", "other"]);
    let is_ready = |name| {
        let mut models = models.iter();
        models.any(|model| model.name.as_str() == name && model.not_ready_reason().is_none())
    };
    assert!(is_ready("other"));
    if std::str::from_utf8(data).is_ok_and(|text| text.trim().is_empty()) {
        assert!(is_ready("changed"), "no settings are valid settings");
    }
});
