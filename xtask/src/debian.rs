//! Unpacks programs of Debian packages below `target/`, for tests that need the real ones.
//!
//! Decision: unpacked and not installed, so that no service starts and no privileges are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;

/// Prometheus, and Redis with the two libraries that a system without it lacks.
const PACKAGES: [&str; 5] = [
    "libjemalloc2",
    "liblzf1",
    "prometheus",
    "redis-server",
    "redis-tools",
];

const FOLDER: &str = "target/debian";

/// The file with the unpacked packages, which is written last.
const STAMP: &str = "unpacked-packages.txt";

/// Returns the checker of metrics of Prometheus.
pub(crate) fn promtool(root: &Path) -> PathBuf {
    root.join(FOLDER).join("usr/bin/promtool")
}

/// Returns the Redis server, which finds its libraries below `usr/lib`.
pub(crate) fn redis_server(root: &Path) -> PathBuf {
    root.join(FOLDER).join("usr/bin/redis-server")
}

/// Unpacks the packages, unless they are there.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    let (stamp, packages) = (folder.join(STAMP), PACKAGES.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == packages) {
        return Ok(());
    }
    println!("unpacking {} into {FOLDER}", PACKAGES.join(", "));
    unpack(&folder)?;
    fs::write(&stamp, packages).with_context(|| format!("cannot write {}", stamp.display()))
}

fn unpack(folder: &Path) -> Result<()> {
    let download = folder.join("download");
    fs::create_dir_all(download.join("lists/partial"))
        .with_context(|| format!("cannot create {}", download.display()))?;
    run(apt_get(&download).arg("update"))?;
    run(apt_get(&download).arg("download").args(PACKAGES))?;
    for entry in fs::read_dir(&download)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(path).arg(folder))?;
        }
    }
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

/// Returns a command whose lists and files are in `folder`, where any user may write.
fn apt_get(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.current_dir(folder).arg("-qq");
    for (key, path) in [("State", "."), ("State::Lists", "lists"), ("Cache", ".")] {
        let path = folder.join(path);
        command
            .arg("-o")
            .arg(format!("Dir::{key}={}", path.display()));
    }
    command.args(["-o", "Dir::State::status=/var/lib/dpkg/status"]);
    // Only root could become another user for the download.
    command.args(["-o", "APT::Sandbox::User=root"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacked_packages_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(STAMP), PACKAGES.join("\n")).unwrap();
        prepare(root.path()).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
