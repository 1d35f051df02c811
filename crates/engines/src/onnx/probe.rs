//! Probes a library: loads it, and runs a model of one node on every provider it has.
//!
//! Decision: commands that do not serve with a library probe it in a child process. A library for
//! another machine may crash, and the first library of a process is its last.

use std::path::{Path, PathBuf};
use std::process::Command;

use contract::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use super::{Runtime, load};

/// The description of a library and of its providers on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The library file.
    pub library: PathBuf,
    /// The version of the library.
    pub version: String,
    /// The library's own description of its build.
    pub build: String,
    /// The execution providers, each with the result of its test.
    pub providers: Vec<ProviderReport>,
}

/// One execution provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderReport {
    /// The name in settings.
    pub name: String,
    /// The reason why it does not work on this host; `None` when it ran the model.
    pub error: Option<String>,
}

/// Probes a library in this process, which cannot load another one afterwards.
///
/// # Errors
/// `engine_failed` when the library cannot be loaded.
pub fn probe(library: &Path) -> Result<ProbeReport> {
    let runtime = Runtime::open(library)?;
    let trial = |name: &str| ProviderReport {
        name: name.to_owned(),
        error: load::try_provider(&runtime, name)
            .err()
            .map(|error| error.to_string()),
    };
    Ok(ProbeReport {
        library: runtime.library().to_owned(),
        version: runtime.version().to_owned(),
        build: runtime.build().to_owned(),
        providers: runtime.providers().into_iter().map(trial).collect(),
    })
}

/// Probes a library by running `EXECUTABLE runtime probe LIBRARY`, which prints a report as JSON.
///
/// # Errors
/// `engine_failed` when the child does not run, crashes, fails, or prints no report.
pub fn probe_in_child(executable: &Path, library: &Path) -> Result<ProbeReport> {
    let failed = |reason: String| {
        let text = format!("probing `{}`: {reason}", library.display());
        Error::new(Code::EngineFailed, text)
    };
    let output = Command::new(executable)
        .args(["runtime", "probe"])
        .arg(library)
        .output()
        .map_err(|error| failed(format!("cannot run `{}`: {error}", executable.display())))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stderr = stderr.trim();
        return Err(failed(format!("{}: {stderr}", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("cannot parse the report: {error}")))
}

#[cfg(test)]
mod tests;
