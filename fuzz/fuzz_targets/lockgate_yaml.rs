//! The configuration file of the server.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

// The binary has no library.
#[allow(dead_code)]
#[path = "../../crates/lockgate/src/config"]
mod config {
    mod environment;
    mod layers;
    mod raw;

    pub(crate) use environment::Environment;
    pub(crate) use layers::Layers;
    pub(crate) use raw::RawConfig;

    pub(crate) const DEFAULT_FILE: &str =
        include_str!("../../crates/lockgate/src/config/default.yaml");
}

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("lockgate-fuzz-{}.yaml", std::process::id());
    std::env::temp_dir().join(name)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fs::write(&*FILE, data).expect("a file");
    let environment = config::Environment::default();
    let flags = config::RawConfig::default();
    let Ok(layers) = config::Layers::read(Some(&FILE), &environment, &flags) else {
        return;
    };
    layers
        .merged()
        .expect("layers that were read have been checked");
});
