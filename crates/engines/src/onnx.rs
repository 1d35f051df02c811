//! ONNX Runtime behind [`contract::Engine`].
//!
//! Decision: the runtime is a shared library that is found, checked and opened at run time, so one
//! binary serves with whichever build of it a host has. Every type of the `ort` crate stays inside
//! this module, and with `unsafe` code it is the same.

mod buckets;
mod calibration;
mod environment;
mod graph;
pub mod install;
mod layout;
pub mod library;
mod load;
mod memory;
mod options;
mod outlier;
pub mod probe;
mod session;
mod signature;
mod strings;
mod value;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use contract::{Engine, LoadSpec, LoadedModel, Result};

use library::SearchInput;

pub use environment::{OLDEST_MINOR, Runtime};

/// Opens ONNX models: a file `model.onnx`, or a folder of that name that holds one beside the files
/// of its external data.
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
    /// An engine that runs models in `runtime`.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        Self {
            search: SearchInput::default(),
            runtime: OnceLock::from(runtime),
        }
    }

    /// An engine that searches for its library when the first model is loaded, and again with every
    /// model until there is one. A server without ONNX models so needs no library, and one that
    /// lacks it can go on when it is installed.
    #[must_use]
    pub fn searching(search: SearchInput) -> Self {
        Self {
            search,
            runtime: OnceLock::new(),
        }
    }

    /// An engine that runs models in the library at `library`.
    ///
    /// # Errors
    /// `engine_failed` as [`Runtime::open`].
    pub fn open(library: &Path) -> Result<Self> {
        Runtime::open(library).map(Self::new)
    }

    /// The runtime, searched for if this is the first use of it.
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
        let path = folder.join(load::ARTIFACT);
        path.exists().then_some(path)
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        load::load(self.runtime()?, spec)
    }
}

/// Keeps ONNX Runtime from reporting usage to its maker.
///
/// To be called first in `main`, before any thread exists: the runtime reads the environment
/// variable when it starts, and changing the environment races with every thread that reads it.
/// The variable is also passed on to child processes.
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
