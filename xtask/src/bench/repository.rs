//! Repositories of models for Lockgate, created for each measurement.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::build::Artifacts;

/// A model of a repository.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// The text of its `model.yaml`.
    pub(super) settings: String,
}

impl Model {
    /// Returns the small network that reads digits, with default settings.
    pub(super) fn digits(artifacts: &Artifacts) -> Self {
        Self {
            name: "digits".to_owned(),
            file: artifacts.digits.clone(),
            settings: String::new(),
        }
    }

    /// Returns a network that `make_models.py` builds, with default settings.
    pub(super) fn network(artifacts: &Artifacts, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: artifacts.networks.join(format!("{name}.onnx")),
            settings: String::new(),
        }
    }

    pub(super) fn with_settings(self, settings: impl Into<String>) -> Self {
        let settings = settings.into();
        Self { settings, ..self }
    }
}

/// Writes a repository of one model.
pub(super) fn of(folder: &Path, model: Model) -> Result<PathBuf> {
    write(folder, &[model])
}

/// Writes a repository below `folder`, in place of the previous one.
pub(super) fn write(folder: &Path, models: &[Model]) -> Result<PathBuf> {
    let repository = folder.join("repository");
    if repository.exists() {
        fs::remove_dir_all(&repository).context("cannot remove the previous repository")?;
    }
    for model in models {
        add_version(&repository, model, "1")?;
        let settings = repository.join(&model.name).join("model.yaml");
        fs::write(settings, &model.settings).context("cannot write model.yaml")?;
    }
    Ok(repository)
}

/// Adds a version atomically.
pub(super) fn add_version(repository: &Path, model: &Model, version: &str) -> Result<()> {
    let folder = repository.join(&model.name);
    let part = folder.join(".part");
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    fs::copy(&model.file, part.join("model.onnx"))
        .with_context(|| format!("cannot copy {}", model.file.display()))?;
    fs::rename(&part, folder.join(version)).context("cannot rename the version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_nothing_from_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.onnx");
        fs::write(&file, "onnx").unwrap();
        let model = |name: &str| Model {
            name: name.to_owned(),
            file: file.clone(),
            settings: "threads: 1\n".to_owned(),
        };
        of(folder.path(), model("old")).unwrap();
        let repository = write(folder.path(), &[model("a"), model("b")]).unwrap();
        add_version(&repository, &model("a"), "2").unwrap();
        for path in [
            "a/1/model.onnx",
            "a/2/model.onnx",
            "b/1/model.onnx",
            "b/model.yaml",
        ] {
            assert!(repository.join(path).is_file(), "{path}");
        }
        assert!(!repository.join("old").exists());
    }
}
