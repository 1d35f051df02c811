//! Search for ONNX Runtime in the places that the settings and the environment give.

use std::path::PathBuf;

use anyhow::Result;
use engines::onnx::Runtime;
use engines::onnx::library::{self, SearchInput, SearchResult};

use crate::config::{Config, Environment};

/// Opens the first library that is found.
///
/// # Errors
/// The places that were tried, and the command that installs a library.
pub(crate) fn open(config: &Config, environment: &Environment) -> Result<Runtime> {
    let runtime =
        library::open_first(&search_input(config, environment), &library::python_package)?;
    tracing::info!(
        version = runtime.version(),
        library = %runtime.library().display(),
        providers = runtime.providers().join(","),
        "loaded ONNX Runtime"
    );
    Ok(runtime)
}

/// Returns every place, with the library that was found there.
pub(crate) fn search_results(config: &Config, environment: &Environment) -> Vec<SearchResult> {
    library::search_results(&search_input(config, environment), &library::python_package)
}

fn search_input(config: &Config, environment: &Environment) -> SearchInput {
    let bin = |variable: &str| {
        environment
            .path(variable)
            .map(|folder| folder.join("bin/python"))
    };
    let pythons = [
        bin("VIRTUAL_ENV"),
        bin("CONDA_PREFIX"),
        Some(PathBuf::from("python3")),
    ];
    let executable = std::env::current_exe().ok();
    SearchInput {
        flag: None,
        variable: None,
        configuration: config.onnxruntime.clone(),
        shared_variable: environment.path("ORT_DYLIB_PATH"),
        executable_folder: executable.and_then(|path| path.parent().map(PathBuf::from)),
        data_folder: Some(config.data_dir.clone()),
        pythons: pythons.into_iter().flatten().collect(),
    }
}
