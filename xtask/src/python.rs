//! Creates Python environments below `target/` from lists of pinned versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;

/// The file with the installed requirements, which is written last.
const STAMP: &str = "installed-requirements.txt";
const REQUIREMENTS: &str = "crates/lockgate/tests/python/requirements.txt";

/// Returns the Python interpreter that has the clients.
pub(crate) fn interpreter(root: &Path) -> PathBuf {
    root.join("target/python/bin/python")
}

/// Creates the environment of the end-to-end tests, with the usual clients.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    install(root, REQUIREMENTS, "target/python")
}

/// Returns whether the environment in `folder` is complete.
pub(crate) fn is_installed(folder: &Path) -> bool {
    folder.join(STAMP).exists()
}

/// Creates the environment `folder`, unless it exists with the same requirements.
pub(crate) fn install(root: &Path, list: &str, folder: &str) -> Result<()> {
    let requirements = root.join(list);
    let requirements_text = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let path = root.join(folder);
    let stamp = path.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements_text) {
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
    fs::write(&stamp, requirements_text)
        .with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_the_same_requirements_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("env");
        fs::create_dir(&folder).unwrap();
        fs::write(root.path().join("list.txt"), "numpy==1\n").unwrap();
        assert!(!is_installed(&folder));
        fs::write(folder.join(STAMP), "numpy==1\n").unwrap();
        fs::write(folder.join("mark"), "").unwrap();
        install(root.path(), "list.txt", "env").unwrap();
        assert!(is_installed(&folder));
        assert!(folder.join("mark").exists(), "it was made anew");
    }

    #[test]
    fn a_list_that_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = install(root.path(), "list.txt", "env").unwrap_err();
        assert!(error.to_string().contains("list.txt"), "{error}");
    }

    #[test]
    fn the_requirements_of_the_repository_are_pinned() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = fs::read_to_string(root.join(REQUIREMENTS)).unwrap();
        let lines = text.lines().map(str::trim);
        let loose: Vec<_> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains("=="))
            .collect();
        assert!(loose.is_empty(), "{loose:?}");
    }
}
