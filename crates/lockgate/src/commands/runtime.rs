//! `lockgate runtime`: install, list and probe ONNX Runtime.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use engines::onnx::install::{self, Flavor, InstallRequest, InstallStep};
use engines::onnx::probe::{self, ProbeReport};
use indicatif::{ProgressBar, ProgressStyle};

use crate::command_line::{RuntimeArguments, RuntimeCommand};
use crate::commands::table::table;
use crate::config::Environment;
use crate::output;

/// The interval between two frames of the spinner.
const TICK: Duration = Duration::from_millis(120);

/// Runs one of the sub-commands.
///
/// # Errors
/// The failure of pip or of the library, with the next step where it is known.
pub(crate) fn run(arguments: RuntimeArguments, environment: &Environment) -> Result<()> {
    let named = arguments
        .data_dir
        .or_else(|| environment.path("LOCKGATE_DATA_DIR"));
    let data_folder = named.unwrap_or_else(|| environment.data_dir());
    match arguments.command {
        RuntimeCommand::Install {
            flavor,
            runtime_version,
            python,
        } => {
            let flavor = Flavor::from_name(&flavor).with_context(|| {
                let known = Flavor::ALL
                    .map(|flavor| format!("`{}`", flavor.name()))
                    .join(", ");
                format!("flavor `{flavor}` is unknown; choose one of {known}")
            })?;
            let installed = install(&InstallRequest {
                flavor,
                version: runtime_version,
                python,
                data_folder,
            })?;
            output::line(installed)?;
        }
        RuntimeCommand::List => list(&data_folder)?,
        RuntimeCommand::Probe { file } => {
            output::line(serde_json::to_string_pretty(&probe::probe(&file)?)?)?;
        }
    }
    Ok(())
}

/// Installs the tested version of the CPU build; returns a sentence about the result.
///
/// # Errors
/// Those of `lockgate runtime install`.
pub(super) fn install_default(data_folder: &Path) -> Result<String> {
    install(&InstallRequest {
        flavor: Flavor::Cpu,
        version: None,
        python: PathBuf::from("python3"),
        data_folder: data_folder.to_owned(),
    })
}

/// Loads a library in a child process and returns its version and providers.
///
/// # Errors
/// The reason why it does not load.
pub(super) fn probe_in_child(library: &Path) -> Result<ProbeReport> {
    let executable = std::env::current_exe().context("the path of this program")?;
    Ok(probe::probe_in_child(&executable, library)?)
}

fn install(request: &InstallRequest) -> Result<String> {
    let executable = std::env::current_exe().context("the path of this program")?;
    let progress = ProgressBar::new_spinner();
    progress.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    progress.enable_steady_tick(TICK);
    let installed = install::install(
        request,
        &|library| probe::probe_in_child(&executable, library),
        &mut |step| progress.set_message(describe(&step)),
    );
    progress.finish_and_clear();
    let installed = installed?;
    Ok(format!(
        "installed ONNX Runtime {} ({}) in {}",
        installed.version,
        installed.flavor,
        installed.folder.display()
    ))
}

fn describe(step: &InstallStep) -> String {
    match step {
        InstallStep::Download { package, version } => format!("downloading {package} {version}"),
        InstallStep::Unpack => "unpacking the libraries".to_owned(),
        InstallStep::Probe => "loading the library in a child process".to_owned(),
        InstallStep::Activate => "activating the library".to_owned(),
    }
}

fn list(data_folder: &Path) -> Result<()> {
    let installed = install::installed(data_folder);
    if installed.is_empty() {
        output::line(format_args!(
            "nothing is installed in {}",
            data_folder.display()
        ))?;
        output::line("next: lockgate runtime install")?;
        return Ok(());
    }
    let mut table = table(&["in use", "flavor", "version", "folder"]);
    for runtime in installed {
        let mark = if runtime.is_current { "*" } else { "" };
        let folder = runtime.folder.display().to_string();
        table.add_row([mark.to_owned(), runtime.flavor, runtime.version, folder]);
    }
    output::line(table)?;
    Ok(())
}
