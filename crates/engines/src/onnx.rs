//! ONNX Runtime behind [`contract::Engine`].
//!
//! Decision: the runtime is a shared library that is found, checked and opened at run time, so one
//! binary works with whichever build a host has. The types of the `ort` crate and `unsafe` code
//! stay inside this module.

mod buckets;
mod calibration;
mod environment;
mod errors;
mod graph;
pub mod install;
mod layout;
pub mod library;
mod load;
mod memory;
mod model_log;
mod options;
pub mod probe;
mod release;
mod session;
mod signature;
mod source;
mod value;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use contract::{Engine, LoadSpec, LoadedModel, Result};

use library::SearchInput;

pub use environment::{OLDEST_MINOR, Runtime};

/// Engine for ONNX models: a file `model.onnx`, or a folder of that name with the file and its
/// external data.
///
/// ```
/// use contract::Engine;
/// use engines::OnnxEngine;
/// use engines::onnx::library::SearchInput;
///
/// let engine = OnnxEngine::searching(SearchInput::default());
/// assert_eq!(engine.platform(), "onnxruntime_onnx");
/// ```
#[derive(Clone, Debug)]
pub struct OnnxEngine {
    search: SearchInput,
    runtime: OnceLock<Runtime>,
}

impl OnnxEngine {
    /// Creates an engine that runs models in `runtime`.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        Self {
            search: SearchInput::default(),
            runtime: OnceLock::from(runtime),
        }
    }

    /// Creates an engine that searches for its library when the first model is loaded, and again
    /// with every model until it finds one. A server without ONNX models needs no library, and a
    /// server that lacks the library continues once it is installed.
    #[must_use]
    pub fn searching(search: SearchInput) -> Self {
        Self {
            search,
            runtime: OnceLock::new(),
        }
    }

    /// Creates an engine that runs models in the library at `library`.
    ///
    /// # Errors
    /// `engine_failed` as [`Runtime::open`].
    pub fn open(library: &Path) -> Result<Self> {
        Runtime::open(library).map(Self::new)
    }

    /// Returns the runtime; the first call searches for it.
    ///
    /// # Errors
    /// `engine_failed` as [`library::open_first`].
    pub fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let found = library::open_first(&self.search, &library::python_package)?;
        Ok(self.runtime.get_or_init(|| found))
    }
}

impl Engine for OnnxEngine {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn platform(&self) -> &'static str {
        "onnxruntime_onnx"
    }

    fn framework(&self) -> &'static str {
        "onnx"
    }

    fn find_artifact(&self, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(source::ARTIFACT);
        (path.is_file() || path.is_dir()).then_some(path)
    }

    fn companions(&self, artifact: &Path) -> Vec<PathBuf> {
        let external_data = graph::inspect(artifact).external_data;
        let locations = external_data.keys();
        locations
            .map(|location| artifact.with_file_name(location))
            .collect()
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        load::load(self.runtime()?, spec)
    }
}

/// Prevents ONNX Runtime from reporting usage to its vendor.
///
/// Must be called first in `main`, before any thread exists: the runtime reads the environment
/// variable when it starts, and changing the environment races with every thread that reads it.
/// Child processes inherit the variable.
#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the opt-out of the runtime is an environment variable"
)]
pub fn disable_telemetry() {
    // SAFETY: by contract no other thread runs yet.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

#[cfg(test)]
mod tests;
