//! Builds and installs all contenders and tools below the target folder.
//!
//! Decision: contenders that a case can do without may be missing, and the case reports that.
//! Lockgate, the load generators and the networks must be present.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use super::contender::Contender;
use crate::{python, steps};

/// The requirements of all Python peers, and where each is installed.
pub(super) const PEERS: [(Contender, &str, &str); 4] = [
    (
        Contender::Fastapi,
        "bench/peers/requirements.txt",
        "target/bench-python",
    ),
    (
        Contender::Litserve,
        "bench/peers/litserve-requirements.txt",
        "target/bench-litserve",
    ),
    (
        Contender::Bentoml,
        "bench/peers/bentoml-requirements.txt",
        "target/bench-bentoml",
    ),
    (
        Contender::Mlserver,
        "bench/peers/mlserver-requirements.txt",
        "target/bench-mlserver",
    ),
];

/// Paths of everything that was built or installed.
#[derive(Debug)]
pub(super) struct Artifacts {
    pub(super) lockgate: PathBuf,
    pub(super) echo: PathBuf,
    pub(super) grpc_echo: PathBuf,
    pub(super) load: PathBuf,
    pub(super) grpc_load: PathBuf,
    pub(super) open_load: PathBuf,
    pub(super) serde_decode: PathBuf,
    /// The interpreter with ONNX Runtime.
    pub(super) python: PathBuf,
    pub(super) litserve: PathBuf,
    pub(super) bentoml: PathBuf,
    pub(super) mlserver: PathBuf,
    /// Folder of the Python services and scripts.
    pub(super) peers: PathBuf,
    /// The ONNX Runtime library of Lockgate.
    pub(super) onnxruntime: PathBuf,
    /// The small network that reads digits.
    pub(super) digits: PathBuf,
    /// The networks that `make_models.py` builds.
    pub(super) networks: PathBuf,
    /// The example request.
    pub(super) example: PathBuf,
    /// Repositories, bodies and logs.
    pub(super) folder: PathBuf,
    pub(super) n_cores: usize,
    /// Contenders that are not installed.
    pub(super) missing: Vec<Contender>,
}

/// Builds and installs what is missing.
pub(super) fn prepare(root: &Path, library: Option<&Path>, is_built: bool) -> Result<Artifacts> {
    let target = target(root)?;
    let load = target.join("bench-load");
    if !is_built {
        build(root, &load)?;
        install_peers(root)?;
    }
    let load = load.join("release");
    let folder = target.join("bench");
    let interpreter = |folder: &str| root.join(folder).join("bin/python");
    let [fastapi, litserve, bentoml, mlserver] = PEERS.map(|(_, _, folder)| interpreter(folder));
    let mut artifacts = Artifacts {
        lockgate: target.join("release/lockgate"),
        echo: load.join("echo"),
        grpc_echo: load.join("grpc_echo"),
        load: load.join("load"),
        grpc_load: load.join("grpc_load"),
        open_load: load.join("open_load"),
        serde_decode: load.join("serde_decode"),
        python: fastapi,
        litserve,
        bentoml,
        mlserver,
        peers: root.join("bench/peers"),
        onnxruntime: library.map(Path::to_owned).unwrap_or_default(),
        digits: root.join("examples/models/digits/2/model.onnx"),
        networks: folder.join("networks"),
        example: root.join("examples/data/digits-request.json"),
        folder,
        n_cores: std::thread::available_parallelism()?.get(),
        missing: Vec::new(),
    };
    check(&artifacts)?;
    if library.is_none() {
        artifacts.onnxruntime = artifacts.install("cpu", &root.join("target/lockgate-data"))?;
    }
    artifacts.missing = missing(root);
    make_networks(&artifacts)?;
    Ok(artifacts)
}

/// Returns the target folder, which the user may have moved.
fn target(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    Ok(metadata.target_directory.into_std_path_buf())
}

fn build(root: &Path, load: &Path) -> Result<()> {
    steps::cargo(root, &["build", "--release", "--package", "lockgate"], &[])?;
    let load = load.display().to_string();
    let manifest = "bench/load/Cargo.toml";
    let arguments = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        manifest,
    ];
    steps::cargo(root, &arguments, &[("CARGO_TARGET_DIR", &load)])
}

/// Installs the peers. The first one must succeed, because its environment builds the networks.
fn install_peers(root: &Path) -> Result<()> {
    for (contender, list, folder) in PEERS {
        match python::install(root, list, folder) {
            Err(error) if contender == Contender::Fastapi => return Err(error),
            Err(error) => println!("{contender} is left out, it does not install: {error:#}"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Returns the peers whose installation failed.
fn missing(root: &Path) -> Vec<Contender> {
    let is_missing = |folder: &str| !python::is_installed(&root.join(folder));
    let missing = PEERS
        .iter()
        .filter(|(_, _, folder)| is_missing(folder))
        .map(|(contender, _, _)| *contender);
    missing.collect()
}

fn make_networks(artifacts: &Artifacts) -> Result<()> {
    let status = Command::new(&artifacts.python)
        .arg(artifacts.peers.join("make_models.py"))
        .arg(&artifacts.networks)
        .status()
        .context("cannot start Python")?;
    if !status.success() {
        bail!("failed to build the networks: {status}");
    }
    Ok(())
}

fn check(artifacts: &Artifacts) -> Result<()> {
    let files = [
        &artifacts.lockgate,
        &artifacts.echo,
        &artifacts.grpc_echo,
        &artifacts.load,
        &artifacts.grpc_load,
        &artifacts.open_load,
        &artifacts.serde_decode,
        &artifacts.python,
    ];
    for file in files {
        if !file.exists() {
            bail!("`{}` is missing; leave out `--skip-build`", file.display());
        }
    }
    Ok(())
}

impl Artifacts {
    /// Returns whether `lockgate serve` has a flag.
    pub(super) fn has_flag(&self, flag: &str) -> Result<bool> {
        let output = Command::new(&self.lockgate)
            .args(["serve", "--help"])
            .output()
            .context("cannot start lockgate")?;
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(help.split_whitespace().any(|word| word == flag))
    }

    /// Returns the ONNX Runtime library of this flavor, and installs it in `data` if it is missing.
    pub(super) fn install(&self, flavor: &str, data: &Path) -> Result<PathBuf> {
        let library = data.join("onnxruntime/current");
        if !library.exists() {
            println!("installing ONNX Runtime ({flavor}) into {}", data.display());
            let output = Command::new(&self.lockgate)
                .args(["runtime", "install", "--flavor", flavor, "--data-dir"])
                .arg(data)
                .output()
                .context("cannot start lockgate")?;
            if !output.status.success() {
                bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        Ok(library)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_requirements_with_versions() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (contender, list, _) in PEERS {
            let text = std::fs::read_to_string(root.join(list)).unwrap();
            let is_pinned = |line: &str| line.starts_with('#') || line.contains("==");
            assert!(text.lines().all(is_pinned), "{contender}: {list}");
        }
    }

    #[test]
    fn a_peer_without_a_finished_environment_is_missing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            missing(root.path()),
            PEERS.map(|(contender, _, _)| contender)
        );
        let (_, _, folder) = PEERS[0];
        let folder = root.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("installed-requirements.txt"), "").unwrap();
        assert!(!missing(root.path()).contains(&Contender::Fastapi));
    }
}
