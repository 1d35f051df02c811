//! Installs ONNX Runtime libraries into the data folder.
//!
//! Rule: download the package into a staging folder, keep the libraries and the licences, probe the
//! library in a separate process, write its description, and only then rename the folder into place
//! and point `current` at it. A failure before that leaves the installed libraries unchanged.

mod pip;
mod wheel;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use contract::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::errors::failed;
use super::library::library_in;
use super::probe::ProbeReport;

pub use wheel::Flavor;

/// The format version of the file `runtime.json`.
const FORMAT: u32 = 1;
const DESCRIPTION: &str = "runtime.json";
const CURRENT: &str = "current";
const LICENCES: [&str; 3] = ["LICENSE", "ThirdPartyNotices.txt", "Privacy.md"];

/// The library to install, and the means to do so.
#[derive(Clone, Debug)]
pub struct InstallRequest {
    /// The build.
    pub flavor: Flavor,
    /// The version; `None` for the pinned one.
    pub version: Option<String>,
    /// The Python interpreter whose pip gets the package.
    pub python: PathBuf,
    /// The data folder.
    pub data_folder: PathBuf,
}

/// A step that begins, for a progress display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallStep {
    /// pip downloads this package in this version.
    Download {
        /// The package.
        package: &'static str,
        /// The version.
        version: String,
    },
    /// Libraries and licences are collected.
    Unpack,
    /// The library is loaded and runs a model in a separate process.
    Probe,
    /// The library becomes the current one.
    Activate,
}

/// An installed library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The format version of this description.
    format: u32,
    /// The name of the flavor.
    pub flavor: String,
    /// The version of the package.
    pub version: String,
    /// The time of the installation, in seconds since 1970.
    pub installed_at_unix_seconds: u64,
    /// The files with their SHA-256.
    pub files: BTreeMap<String, String>,
    /// The folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// True if `current` points to it.
    #[serde(skip)]
    pub is_current: bool,
}

/// Installs a library and makes it the current one.
///
/// `probe` loads a library in another process and reports; see
/// [`probe_in_child`](super::probe::probe_in_child). `on_step` receives each step when it begins.
///
/// # Errors
/// `engine_failed` with the message of the failed step.
pub fn install(
    request: &InstallRequest,
    probe: &dyn Fn(&Path) -> Result<ProbeReport>,
    on_step: &mut dyn FnMut(InstallStep),
) -> Result<Installed> {
    let flavor = request.flavor;
    let version = checked_version(request)?;
    let root = request.data_folder.join("onnxruntime");
    fs::create_dir_all(&root).map_err(at(&root))?;
    let name = format!("{}-{version}", flavor.name());
    let stage = TemporaryFolder::new(root.join(format!(".stage-{name}-{}", std::process::id())))?;
    let fresh = TemporaryFolder::new(root.join(format!("{name}.tmp")))?;

    on_step(InstallStep::Download {
        package: flavor.package(),
        version: version.clone(),
    });
    package(request, &version).download(&request.python, &stage.0)?;
    on_step(InstallStep::Unpack);
    unpack(&stage.0.join("onnxruntime"), &fresh.0)?;
    on_step(InstallStep::Probe);
    let library = library_in(&fresh.0).map_err(failed)?;
    check_report(flavor, &probe(&library)?)?;
    on_step(InstallStep::Activate);
    let mut installed = describe(flavor, version, &fresh.0)?;
    installed.folder = root.join(&name);
    activate(&fresh.0, &installed.folder)?;
    point_current_at(&root, &name)?;
    installed.is_current = true;
    Ok(installed)
}

/// Returns the libraries in a data folder, by folder name.
#[must_use]
pub fn installed(data_folder: &Path) -> Vec<Installed> {
    let root = data_folder.join("onnxruntime");
    let current = root.join(CURRENT).canonicalize().ok();
    let Ok(entries) = fs::read_dir(&root) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name != CURRENT))
        .collect();
    folders.sort();
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join(DESCRIPTION)).ok()?;
        let found: Installed = serde_json::from_str(&text).ok()?;
        (found.format == FORMAT).then(|| Installed {
            is_current: folder.canonicalize().ok() == current,
            folder,
            ..found
        })
    };
    folders.into_iter().filter_map(read).collect()
}

/// Returns the version, checked for use in a requirement of pip.
fn checked_version(request: &InstallRequest) -> Result<String> {
    let version = match &request.version {
        Some(version) => version.as_str(),
        None => request.flavor.pinned_version(),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    match version.starts_with(|first: char| first.is_ascii_digit()) && version.chars().all(is_plain)
    {
        true => Ok(version.to_owned()),
        false => Err(failed(format!(
            "`{version}` is not a version; expected one such as `{}`",
            request.flavor.pinned_version()
        ))),
    }
}

fn package<'a>(request: &InstallRequest, version: &'a str) -> pip::Package<'a> {
    let flavor = request.flavor;
    let is_pinned = version == flavor.pinned_version();
    let wheel = wheel::pinned(flavor, std::env::consts::OS, std::env::consts::ARCH);
    pip::Package {
        name: flavor.package(),
        version,
        wheel: wheel.filter(|_| is_pinned),
    }
}

/// Moves the required files out of the unpacked package.
fn unpack(package: &Path, target: &Path) -> Result<()> {
    let capi = package.join("capi");
    for entry in fs::read_dir(&capi).map_err(at(&capi))? {
        let path = entry.map_err(at(&capi))?.path();
        if let Some(name) = path
            .file_name()
            .filter(|name| is_library(&name.to_string_lossy()))
        {
            fs::rename(&path, target.join(name)).map_err(at(&path))?;
        }
    }
    for name in LICENCES {
        let path = package.join(name);
        if path.exists() {
            fs::rename(&path, target.join(name)).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Returns whether a file of the package is a library that the runtime loads. The extension module
/// of Python is as large as the runtime and is not one.
fn is_library(name: &str) -> bool {
    name.starts_with("lib") && (name.contains(".so") || name.contains(".dylib"))
}

fn check_report(flavor: Flavor, report: &ProbeReport) -> Result<()> {
    for provider in &report.providers {
        let is_needed =
            provider.name == "cpu" || provider.name == flavor.name() && flavor.must_work_here();
        if let Some(error) = provider.error.as_ref().filter(|_| is_needed) {
            return Err(failed(format!(
                "provider `{}` of the library does not work on this host: {error}",
                provider.name
            )));
        }
    }
    match report
        .providers
        .iter()
        .any(|found| found.name == flavor.name())
    {
        true => Ok(()),
        false => Err(failed(format!(
            "package `{}` has no provider `{}`",
            flavor.package(),
            flavor.name()
        ))),
    }
}

fn describe(flavor: Flavor, version: String, folder: &Path) -> Result<Installed> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if let Some(name) = path.file_name() {
            files.insert(name.to_string_lossy().into_owned(), sha256(&path)?);
        }
    }
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let installed = Installed {
        format: FORMAT,
        flavor: flavor.name().to_owned(),
        version,
        installed_at_unix_seconds: since_1970.map_or(0, |age| age.as_secs()),
        files,
        folder: PathBuf::new(),
        is_current: false,
    };
    let path = folder.join(DESCRIPTION);
    let text =
        serde_json::to_string_pretty(&installed).map_err(|error| failed(error.to_string()))?;
    fs::write(&path, text + "\n").map_err(at(&path))?;
    Ok(installed)
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n_bytes = file.read(&mut buffer).map_err(at(path))?;
        match buffer.get(..n_bytes) {
            None | Some([]) => break,
            Some(read) => digest.update(read),
        }
    }
    let bytes = digest.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Renames the finished folder into place and replaces one of the same name.
fn activate(fresh: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at(folder))?;
    }
    fs::rename(fresh, folder).map_err(at(folder))
}

/// Replaces the link in one step, so that `current` always leads to a complete library.
fn point_current_at(root: &Path, name: &str) -> Result<()> {
    let link = root.join(format!(".{CURRENT}-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &link).map_err(at(&link))?;
    let current = root.join(CURRENT);
    fs::rename(&link, &current).map_err(at(&current))
}

/// A folder that is removed on drop unless it was renamed.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
        fs::create_dir(&path).map_err(at(&path))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "failed to remove staging folder");
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| failed(format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests;
