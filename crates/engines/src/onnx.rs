//! ONNX Runtime behind [`contract::Engine`].
//!
//! Decision: the runtime is a shared library that is found, checked and opened at run time, so one
//! binary serves with whichever build of it a host has. Every type of the `ort` crate stays inside
//! this module, and with `unsafe` code it is the same.

mod convert;
mod environment;
pub mod install;
pub mod library;
mod options;
pub mod probe;
mod session;
mod signature;
mod strings;

use std::path::{Path, PathBuf};

use contract::{Engine, LoadSpec, LoadedModel, Result};

pub use environment::{OLDEST_MINOR, Runtime};

/// Opens ONNX models: a file `model.onnx`, or a folder of that name that holds one beside the files
/// of its external data.
#[derive(Clone, Debug)]
pub struct OnnxEngine {
    runtime: Runtime,
}

impl OnnxEngine {
    /// An engine that runs models in `runtime`.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }

    /// An engine that runs models in the library at `library`.
    ///
    /// # Errors
    /// `engine_failed` as [`Runtime::open`].
    pub fn open(library: &Path) -> Result<Self> {
        Runtime::open(library).map(Self::new)
    }

    /// The runtime.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
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
        let path = folder.join(session::ARTIFACT);
        path.exists().then_some(path)
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        session::load(&self.runtime, spec)
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
