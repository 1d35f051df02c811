//! Python environments below `target/`, made from lists of pinned versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Written last, with the requirements that are installed.
const STAMP: &str = "installed-requirements.txt";
const REQUIREMENTS: &str = "crates/lockgate/tests/python/requirements.txt";

/// The Python interpreter that has the clients.
pub(crate) fn interpreter(root: &Path) -> PathBuf {
    root.join("target/python/bin/python")
}

/// Makes the environment of the end-to-end tests: the clients that users have.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    install(root, REQUIREMENTS, "target/python")
}

/// Whether the environment in `folder` was made to its end.
pub(crate) fn is_installed(folder: &Path) -> bool {
    folder.join(STAMP).exists()
}

/// Makes the environment `folder`, unless it was made from the same requirements before.
pub(crate) fn install(root: &Path, list: &str, folder: &str) -> Result<()> {
    let requirements = root.join(list);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let path = root.join(folder);
    let stamp = path.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing {list} into {folder}");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&path))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    run(Command::new(path.join("bin/python"))
        .args(pip)
        .arg(&requirements))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
