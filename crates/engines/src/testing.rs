//! Builders of small ONNX files and the library to run them with, for tests.
//!
//! Behind the feature `testing`, so that tests of other crates write models without Python.

mod onnx_model;

use std::path::{Path, PathBuf};

pub use onnx_model::{OnnxModel, dims};

/// Returns the ONNX Runtime for tests: the file or folder in `LOCKGATE_ONNXRUNTIME`, otherwise the
/// one that `cargo xtask test` installs under `target/lockgate-data`.
///
/// # Panics
/// Panics when there is none: a test must not pass because its runtime is missing.
#[must_use]
#[expect(
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test without its runtime must fail; only tests call this"
)]
pub fn onnx_runtime() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/lockgate-data/onnxruntime/current");
    let path = std::env::var_os("LOCKGATE_ONNXRUNTIME").map_or(installed, PathBuf::from);
    match crate::onnx::library::library_in(&path) {
        Ok(library) => library,
        Err(reason) => panic!(
            "no ONNX Runtime for tests: {reason}; run `cargo xtask test`, which installs it, or set \
             `LOCKGATE_ONNXRUNTIME`"
        ),
    }
}
