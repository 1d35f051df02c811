//! The ONNX Runtime of this process: one library and one environment, until the process ends.
//!
//! Decision: the library opened first stays. The runtime cannot be started a second time, so
//! another library needs another process; a request for another library fails with that
//! explanation.

use std::ffi::CStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::Result;
use libloading::Library;
use ort::environment::Environment;
use ort::ep::{CPU, CUDA, ExecutionProvider, OpenVINO};
use ort::logging::LogLevel;
use ort::sys::OrtApiBase;

use super::errors::failed;

/// The oldest minor version of ONNX Runtime 1 that is accepted.
///
/// The API in use is that of 1.22, but `ort` selects providers by device, and on Linux 1.22 knows
/// no device: it ends the process when the first session is created. 1.23 works.
pub const OLDEST_MINOR: u32 = 23;

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// A loaded ONNX Runtime. Clones share it.
#[derive(Clone)]
pub struct Runtime(Arc<Loaded>);

struct Loaded {
    library: PathBuf,
    version: String,
    environment: Environment,
    /// Serializes the creation of sessions: the runtime's own initialization has raced.
    creation: Mutex<()>,
}

impl Runtime {
    /// Loads a library file, or returns the runtime that was loaded from the same file before.
    ///
    /// # Errors
    /// `engine_failed` when the file is missing, is not ONNX Runtime, is too old, or cannot be
    /// loaded on this machine, and when this process has loaded another library.
    pub fn open(library: &Path) -> Result<Self> {
        let library = canonical(library)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(runtime) if runtime.0.library == library => Ok(runtime.clone()),
            Some(runtime) => Err(failed(format!(
                "this process runs ONNX Runtime from `{}` and cannot load `{}` too; start another \
                 process for it",
                runtime.0.library.display(),
                library.display()
            ))),
            None => {
                let runtime = Self::load(library)?;
                *loaded = Some(runtime.clone());
                Ok(runtime)
            }
        }
    }

    fn load(library: PathBuf) -> Result<Self> {
        // Held until `ort` has opened the same file, so that it is mapped once.
        let (_handle, version) = open_library(&library)?;
        check_version(&library, &version)?;
        let refused =
            |reason: &dyn fmt::Display| failed(format!("`{}`: {reason}", library.display()));
        let environment = ort::init_from(&library)
            .map_err(|error| refused(&error))?
            .with_name("lockgate")
            .with_telemetry(false)
            .with_logger(Arc::new(forward))
            .build()
            .map_err(|error| refused(&error))?;
        // With a logger of our own the environment would start at the lowest level and format
        // everything.
        environment.set_log_level(LogLevel::Warning);
        Ok(Self(Arc::new(Loaded {
            library,
            version,
            environment,
            creation: Mutex::new(()),
        })))
    }

    /// Returns the path of the library file.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.0.library
    }

    /// Returns the version that the library states, such as `1.32.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Returns the library's own description of its build.
    #[must_use]
    pub fn build(&self) -> &'static str {
        ort::info()
    }

    /// Returns the execution providers of the library that settings can name.
    #[must_use]
    pub fn providers(&self) -> Vec<&'static str> {
        let known = [
            ("cpu", CPU::is_available()),
            ("openvino", OpenVINO::is_available()),
            ("cuda", CUDA::is_available()),
        ];
        known
            .into_iter()
            .filter(|(_, available)| matches!(available, Ok(true)))
            .map(|(name, _)| name)
            .collect()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(super) fn lock_creation(&self) -> MutexGuard<'_, ()> {
        self.0
            .creation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("library", &self.0.library)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

/// Resolves all symbolic links; a bare name is left to the system's loader.
fn canonical(library: &Path) -> Result<PathBuf> {
    if library.components().count() == 1 && !library.exists() {
        return Ok(library.to_owned());
    }
    library.canonicalize().map_err(|error| {
        failed(format!(
            "no ONNX Runtime library at `{}`: {error}",
            library.display()
        ))
    })
}

#[expect(unsafe_code, reason = "loads a library and calls its entry point")]
fn open_library(path: &Path) -> Result<(Library, String)> {
    type GetApiBase = unsafe extern "C" fn() -> *const OrtApiBase;
    let refused = |reason: &dyn fmt::Display| {
        let text = reason.to_string();
        let hint = hint(&text);
        failed(format!("cannot load `{}`: {text}{hint}", path.display()))
    };
    // SAFETY: the initializers of a library that the operator chose are trusted like our own code.
    let library = unsafe { Library::new(path) }.map_err(|error| refused(&error))?;
    // SAFETY: every ONNX Runtime exports this symbol with this type; other libraries lack it.
    let entry = unsafe { library.get::<GetApiBase>(b"OrtGetApiBase") }
        .map_err(|_| refused(&"it is not ONNX Runtime (it has no `OrtGetApiBase`)"))?;
    // SAFETY: the entry point takes nothing and returns a table that lives as long as the library.
    let base = unsafe { entry().as_ref() }.ok_or_else(|| refused(&"its API table is empty"))?;
    // SAFETY: the function takes nothing and returns a constant string that ends with NUL.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) };
    let version = version.to_string_lossy().into_owned();
    Ok((library, version))
}

/// Returns advice for common errors of the system's loader.
fn hint(loader_error: &str) -> &'static str {
    const HINTS: [(&str, &str); 4] = [
        (
            "GLIBC_",
            "; this system is older than the library, which needs glibc 2.28 or newer",
        ),
        (
            "libstdc++",
            "; install the C++ runtime of the system (`libstdc++6`)",
        ),
        ("libz.so", "; install zlib (`zlib1g`)"),
        (
            "ELF",
            "; the library is for another kind of machine or is damaged",
        ),
    ];
    HINTS
        .into_iter()
        .find(|(sign, _)| loader_error.contains(sign))
        .map_or("", |(_, hint)| hint)
}

fn check_version(library: &Path, version: &str) -> Result<()> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor))) if minor >= OLDEST_MINOR => Ok(()),
        _ => Err(failed(format!(
            "`{}` is ONNX Runtime {version}; 1.{OLDEST_MINOR} or a newer 1.x is needed, which \
             `lockgate runtime install` gets",
            library.display()
        ))),
    }
}

/// Logs a message of the runtime.
pub(super) fn forward(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => {
            tracing::trace!(target: "onnxruntime", category, location, "{message}");
        }
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, location, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => {
            tracing::error!(target: "onnxruntime", category, location, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dependency_raises_the_api_above_the_oldest_accepted_runtime() {
        assert_eq!(ort::MINOR_VERSION, 22);
    }

    #[test]
    fn versions_before_the_oldest_and_after_the_major_are_refused() {
        let accepted = |version| check_version(Path::new("x"), version).is_ok();
        let cases = [
            ("1.23.0", true),
            ("1.32.0", true),
            ("1.100.2", true),
            ("1.22.1", false),
            ("2.0.0", false),
            ("", false),
            ("one.two", false),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|&(version, expected)| accepted(version) != expected)
            .collect();
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_library_that_is_no_onnx_runtime_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libonnxruntime.so.1.32.0");
        std::fs::write(&file, "no library").unwrap();
        let error = open_library(&file).unwrap_err();
        assert_eq!(error.code(), contract::Code::EngineFailed);
        assert!(
            error.message().contains("libonnxruntime.so.1.32.0"),
            "{error}"
        );
        let error = canonical(&folder.path().join("missing.so")).unwrap_err();
        assert!(error.message().contains("missing.so"), "{error}");
    }
}
