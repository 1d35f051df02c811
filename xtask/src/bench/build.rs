//! Builds and installs everything that takes part, below the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::{python, steps};

/// Requirements of the Python peers.
pub(super) const PEERS: &str = "bench/peers/requirements.txt";

const PYTHON: &str = "target/bench-python";

/// Where everything is.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) lockgate: PathBuf,
    pub(super) echo: PathBuf,
    pub(super) load: PathBuf,
    pub(super) python: PathBuf,
    /// Folder of the Python services.
    pub(super) peers: PathBuf,
    /// The ONNX Runtime library of Lockgate.
    pub(super) onnxruntime: PathBuf,
    /// A folder with nothing but the model `digits`, of one version.
    pub(super) models: PathBuf,
    /// The example request.
    pub(super) example: PathBuf,
    /// Bodies and logs.
    pub(super) folder: PathBuf,
    pub(super) n_cores: usize,
}

impl Built {
    /// The model file.
    pub(super) fn model(&self) -> PathBuf {
        self.models.join("digits/2/model.onnx")
    }
}

/// Builds and installs what is missing.
pub(super) fn prepare(root: &Path, library: Option<&Path>, is_built: bool) -> Result<Built> {
    let target = target(root)?;
    let release = target.join("release");
    let load = target.join("bench-load");
    if !is_built {
        build(root, &load)?;
        python::install(root, PEERS, PYTHON)?;
    }
    let installed = root.join("target/lockgate-data/onnxruntime/current");
    if library.is_none() && !installed.exists() {
        steps::prepare(root)?;
    }
    let built = Built {
        lockgate: release.join("lockgate"),
        echo: load.join("release/echo"),
        load: load.join("release/load"),
        python: root.join(PYTHON).join("bin/python"),
        peers: root.join("bench/peers"),
        onnxruntime: library.map_or(installed, Path::to_owned),
        models: target.join("bench/models"),
        example: root.join("examples/data/digits-request.json"),
        folder: target.join("bench"),
        n_cores: std::thread::available_parallelism()?.get(),
    };
    copy_model(root, &built)?;
    check(&built)?;
    Ok(built)
}

/// The target folder, wherever the user has put it.
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

/// Copies the network alone, because the other version of the example is a forest.
fn copy_model(root: &Path, built: &Built) -> Result<()> {
    let model = built.model();
    let folder = model.parent().context("a model file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(root.join("examples/models/digits/2/model.onnx"), &model)
        .context("cannot copy the model")?;
    Ok(())
}

fn check(built: &Built) -> Result<()> {
    for file in [&built.lockgate, &built.echo, &built.load, &built.python] {
        if !file.exists() {
            bail!("{} is not there: leave out `--skip-build`", file.display());
        }
    }
    Ok(())
}
