//! Description of the machine and the versions, which readers need to judge the figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use jiff::Zoned;
use serde::Serialize;

use super::build::{Artifacts, PEERS};
use super::generator::Generator;

/// The machine and the versions of a measurement.
#[derive(Debug, Serialize)]
pub(super) struct Environment {
    pub(super) date: String,
    pub(super) processor: String,
    pub(super) n_cores: usize,
    pub(super) kernel: String,
    pub(super) generator: String,
    /// The versions of Lockgate, its ONNX Runtime and the Python packages.
    pub(super) versions: BTreeMap<String, String>,
}

/// Describes this machine.
pub(super) fn describe(
    root: &Path,
    artifacts: &Artifacts,
    generator: &Generator,
) -> Result<Environment> {
    let mut versions = BTreeMap::new();
    for (_, list, _) in PEERS {
        let requirements = fs::read_to_string(root.join(list)).context(list)?;
        versions.extend(python_versions(&requirements));
    }
    versions.insert("lockgate".to_owned(), commit(root)?);
    let cpu_info = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel")?;
    Ok(Environment {
        date: Zoned::now().date().to_string(),
        processor: processor(&cpu_info).unwrap_or("unknown").to_owned(),
        n_cores: artifacts.n_cores,
        kernel: kernel.trim().to_owned(),
        generator: generator.to_string(),
        versions,
    })
}

/// Returns the measured commit, marked when files differ from it.
fn commit(root: &Path) -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the name of the first processor.
fn processor(cpu_info: &str) -> Option<&str> {
    let line = cpu_info
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// Returns names and versions of pinned requirements.
fn python_versions(requirements: &str) -> BTreeMap<String, String> {
    let pins = requirements
        .lines()
        .filter_map(|line| line.split_once("=="));
    pins.map(|(name, version)| (name.to_owned(), version.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_the_model_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU: 2 GHz\nmodel name\t: other\n";
        assert_eq!(processor(text), Some("Some CPU: 2 GHz"));
        assert_eq!(processor("processor : 0\n"), None);
    }

    #[test]
    fn comments_are_no_requirements() {
        let versions = python_versions("# comment\nfastapi==0.1\n\nnumpy==2.4.6\n");
        let expected = [("fastapi", "0.1"), ("numpy", "2.4.6")];
        let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(versions, BTreeMap::from(expected));
    }
}
