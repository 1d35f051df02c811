//! The readers of ONNX files: what the graph tells, and the file without its last `ZipMap`.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

// The readers are private: their callers open the file with ONNX Runtime, too.
#[allow(dead_code)]
#[path = "../../crates/engines/src/protobuf.rs"]
mod protobuf;
#[allow(dead_code, unused_imports)]
#[path = "../../crates/engines/src/onnx"]
mod onnx {
    mod graph;

    /// Reads a file as before it is opened; no `ZipMap` may be left at its end.
    pub(crate) fn read(file: &std::path::Path, bytes: &[u8]) {
        if !graph::inspect(file).has_zip_map {
            return;
        }
        if let Some(rewritten) = graph::without_zip_maps(bytes) {
            assert!(graph::without_zip_maps(&rewritten.bytes).is_none());
        }
    }
}

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("lockgate-fuzz-{}.onnx", std::process::id());
    std::env::temp_dir().join(name)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fs::write(&*FILE, data).expect("a file");
    onnx::read(&FILE, data);
});
