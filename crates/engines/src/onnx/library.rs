//! Finds the ONNX Runtime library: places in a fixed order, the first match wins.
//!
//! Decision: a place that the operator named must be right. When a flag, a variable or the
//! configuration points nowhere, the search ends with an error instead of running models on some
//! other library. The other places are skipped. There is no fallback to another engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::{Code, Error, Result};

use super::Runtime;

/// The library name for the system's loader.
const LOADER_NAME: &str = "libonnxruntime.so.1";

/// Prints the folder of the package without importing it, which would load its library.
const FIND_PACKAGE: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                            print(s.submodule_search_locations[0] if s else '')";

/// The places to search, from the flags, the environment and the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchInput {
    /// The value of the flag `--onnxruntime`: a file or a folder.
    pub flag: Option<PathBuf>,
    /// The variable `LOCKGATE_ONNXRUNTIME`.
    pub variable: Option<PathBuf>,
    /// The setting `onnxruntime` of the configuration.
    pub configuration: Option<PathBuf>,
    /// The variable `ORT_DYLIB_PATH`, which other programs with the runtime also read.
    pub shared_variable: Option<PathBuf>,
    /// The folder of the executable.
    pub executable_folder: Option<PathBuf>,
    /// The data folder, where `lockgate runtime install` puts libraries.
    pub data_folder: Option<PathBuf>,
    /// Python interpreters whose packages may hold the library, in order of preference.
    pub pythons: Vec<PathBuf>,
}

/// A kind of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The flag.
    Flag,
    /// The variable of this program.
    Variable,
    /// The configuration.
    Configuration,
    /// The variable that other programs with the runtime also read.
    SharedVariable,
    /// The folder of the executable.
    Executable,
    /// A library installed with `lockgate runtime install`.
    Installed,
    /// The packages of a Python interpreter.
    Python(PathBuf),
    /// The search path of the system's loader.
    System,
}

impl Source {
    /// Returns whether the operator named this place, so that it must be right.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        match self {
            Self::Flag | Self::Variable | Self::Configuration | Self::SharedVariable => true,
            Self::Executable | Self::Installed | Self::Python(_) | Self::System => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("`--onnxruntime`"),
            Self::Variable => f.write_str("`LOCKGATE_ONNXRUNTIME`"),
            Self::Configuration => f.write_str("the setting `onnxruntime`"),
            Self::SharedVariable => f.write_str("`ORT_DYLIB_PATH`"),
            Self::Executable => f.write_str("beside the executable"),
            Self::Installed => f.write_str("`lockgate runtime install`"),
            Self::Python(python) => write!(f, "packages of `{}`", python.display()),
            Self::System => f.write_str("system libraries"),
        }
    }
}

/// One place, and the result of the search there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult {
    /// The source that names the place.
    pub source: Source,
    /// The library file there, or the reason why there is none. The result of the system's loader
    /// is known only by trying: its candidate is a bare file name.
    pub library: Result<PathBuf, String>,
}

/// Returns every place in order, with the result there: for `lockgate doctor`.
///
/// `package_of` returns the folder of the package `onnxruntime` of a Python interpreter; see
/// [`python_package`].
pub fn search_results(
    input: &SearchInput,
    package_of: &dyn Fn(&Path) -> Result<PathBuf, String>,
) -> Vec<SearchResult> {
    locations(input)
        .map(|location| location.resolve(package_of))
        .collect()
}

/// Returns the library to use: the first place that has one.
///
/// # Errors
/// `engine_failed` with every place that was tried, and the next step.
pub fn search(
    input: &SearchInput,
    package_of: &dyn Fn(&Path) -> Result<PathBuf, String>,
) -> Result<SearchResult> {
    let mut tried = Vec::new();
    for location in locations(input) {
        let result = location.resolve(package_of);
        match &result.library {
            Ok(_) => return Ok(result),
            Err(reason) if result.source.is_explicit() => {
                let text = format!("no ONNX Runtime at {}: {reason}", result.source);
                return Err(Error::new(Code::EngineFailed, text));
            }
            Err(_) => tried.push(result),
        }
    }
    Err(not_found(&tried))
}

/// Searches for the library and opens it.
///
/// # Errors
/// `engine_failed` as [`search`] and [`Runtime::open`].
pub fn open_first(
    input: &SearchInput,
    package_of: &dyn Fn(&Path) -> Result<PathBuf, String>,
) -> Result<Runtime> {
    let found = search(input, package_of)?;
    let Ok(library) = &found.library else {
        return Err(not_found(&[found]));
    };
    match Runtime::open(library) {
        Err(_) if found.source == Source::System => {
            Err(not_found(&search_results(input, package_of)))
        }
        opened => opened.map_err(|error| error.in_context(&found.source)),
    }
}

fn not_found(tried: &[SearchResult]) -> Error {
    let mut text = String::from(
        "no ONNX Runtime is installed; `lockgate runtime install` gets it. Tried in this order:",
    );
    for result in tried {
        let reason = match &result.library {
            Ok(library) => format!("`{}` is not known to the loader", library.display()),
            Err(reason) => reason.clone(),
        };
        text.push_str(&format!("\n  {}: {reason}", result.source));
    }
    Error::new(Code::EngineFailed, text)
}

/// A place before the search.
struct SearchLocation<'a> {
    source: Source,
    path: LocationPath<'a>,
}

enum LocationPath<'a> {
    At(PathBuf),
    InPackageOf(&'a Path),
    Loader,
}

impl SearchLocation<'_> {
    fn resolve(self, package_of: &dyn Fn(&Path) -> Result<PathBuf, String>) -> SearchResult {
        let library = match self.path {
            LocationPath::At(path) => library_in(&path),
            LocationPath::InPackageOf(python) => {
                package_of(python).and_then(|package| library_in(&package.join("capi")))
            }
            LocationPath::Loader => Ok(PathBuf::from(LOADER_NAME)),
        };
        SearchResult {
            source: self.source,
            library,
        }
    }
}

fn locations(input: &SearchInput) -> impl Iterator<Item = SearchLocation<'_>> {
    let beside = |folder: &PathBuf| folder.join("../lib/onnxruntime");
    let installed = |folder: &PathBuf| folder.join("onnxruntime/current");
    let paths = [
        (Source::Flag, input.flag.clone()),
        (Source::Variable, input.variable.clone()),
        (Source::Configuration, input.configuration.clone()),
        (Source::SharedVariable, input.shared_variable.clone()),
        (
            Source::Executable,
            input.executable_folder.as_ref().map(beside),
        ),
        (Source::Installed, input.data_folder.as_ref().map(installed)),
    ];
    let paths = paths.into_iter().filter_map(|(source, path)| {
        path.map(|path| SearchLocation {
            source,
            path: LocationPath::At(path),
        })
    });
    let pythons = input.pythons.iter().map(|python| SearchLocation {
        source: Source::Python(python.clone()),
        path: LocationPath::InPackageOf(python),
    });
    let system = SearchLocation {
        source: Source::System,
        path: LocationPath::Loader,
    };
    paths.chain(pythons).chain([system])
}

/// Returns the library at a path: the file itself, or the one in a folder.
///
/// # Errors
/// The reason why there is none.
pub fn library_in(path: &Path) -> Result<PathBuf, String> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| rank(&name).map(|rank| (rank, name)))
        .max()
        .map(|(_, name)| path.join(name))
        .ok_or_else(|| format!("`{}` has no `libonnxruntime.so`", path.display()))
}

/// Ranks a file name of the library by its version, which beats a name without one.
fn rank(name: &str) -> Option<Vec<u32>> {
    let version = match name.strip_prefix("libonnxruntime.")? {
        "so" | "dylib" => "",
        rest => match rest.strip_suffix(".dylib") {
            Some(version) => version,
            None => rest.strip_prefix("so.")?,
        },
    };
    let numbers = version.split('.').filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

/// Returns the folder of the package `onnxruntime` of a Python interpreter, without importing it.
///
/// # Errors
/// The reason why there is none.
pub fn python_package(python: &Path) -> Result<PathBuf, String> {
    let output = Command::new(python)
        .args(["-c", FIND_PACKAGE])
        .output()
        .map_err(|error| format!("cannot run `{}`: {error}", python.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    match printed.trim() {
        "" => Err("it has no package `onnxruntime`".to_owned()),
        folder => Ok(PathBuf::from(folder)),
    }
}

#[cfg(test)]
mod tests;
