//! The layout of the repository: a scan of its roots as plain data.
//!
//! Decision: a scan never fails as a whole. A read error, or a folder that does not answer, is a
//! reason at the model or the root that it belongs to, and a root in which no model was found takes
//! nothing out of service: a network drive that is unavailable for a minute, or a mount that is
//! lost, must not unload a model.

mod content_hash;
mod entries;
mod fingerprint;
mod misplaced;
mod model_folder;
mod read_limiter;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use contract::{Engine, ModelName, Version};

pub(crate) use self::content_hash::content_hash;
pub(crate) use self::entries::is_visible;
pub(crate) use self::fingerprint::Fingerprint;
pub(crate) use self::misplaced::missing_artifact;
pub(crate) use self::read_limiter::ReadLimiter;

use self::entries::{Entry, list};
use super::settings::{ModelFile, ModelSettings, SettingsDefaults, resolve};

/// Name of the settings file of a model.
pub(crate) const SETTINGS_FILE: &str = "model.yaml";

/// Name of the rollout file of a model.
pub(crate) const ROLLOUT_FILE: &str = "rollout.yaml";

/// Result of a scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    /// The models by name.
    pub(crate) models: BTreeMap<ModelName, FoundModel>,
    /// The roots in which no model was found, with the reason.
    pub(crate) without_models: BTreeMap<PathBuf, String>,
    /// Ignored entries, with the reasons.
    pub(crate) warnings: BTreeSet<String>,
    /// Model files that cannot be served where they lie, with what is expected.
    pub(crate) misplaced: BTreeSet<String>,
}

impl Scan {
    /// Returns why the roots have model files but nothing that can be served; `None` where
    /// something can, or where there are no model files at all.
    pub(crate) fn refusal(&self, engines: &[&str]) -> Option<String> {
        let versions = || {
            let models = self.models.values();
            models.flat_map(|model| model.versions.values())
        };
        if versions().any(|version| !version.artifacts.is_empty()) {
            return None;
        }
        let described = versions().filter_map(|version| {
            misplaced::describe_version(&version.path, engines)?;
            Some(missing_artifact(&version.path, engines))
        });
        let reasons: Vec<_> = self.misplaced.iter().cloned().chain(described).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// One model folder.
#[derive(Clone, Debug)]
pub(crate) struct FoundModel {
    /// The folder, or the file when a root is one.
    pub(crate) path: PathBuf,
    /// Its settings, or the reason why nothing may be changed about this model.
    pub(crate) settings: Result<Arc<ModelSettings>, String>,
    /// Its versions.
    pub(crate) versions: BTreeMap<Version, FoundVersion>,
    /// Its rollout file.
    pub(crate) rollout_file: Option<FoundRolloutFile>,
}

/// The rollout file of a model folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundRolloutFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its text, or the reason why it cannot be read.
    pub(crate) text: Result<Arc<str>, String>,
}

impl FoundRolloutFile {
    /// Reads the file. Blocks.
    pub(crate) fn read(path: PathBuf) -> Self {
        let text = model_folder::read_text(&path);
        Self {
            text: text.map(Into::into).map_err(|error| error.to_string()),
            path,
        }
    }
}

/// One version folder.
#[derive(Clone, Debug)]
pub(crate) struct FoundVersion {
    /// The folder.
    pub(crate) path: PathBuf,
    /// Artifacts that the engines would open, in the order of the engines.
    pub(crate) artifacts: Vec<EngineArtifact>,
    /// Fingerprint, which changes whenever a file below the folder does.
    pub(crate) fingerprint: Fingerprint,
    /// Time since anything below the folder changed.
    pub(crate) age: Duration,
}

/// A file or folder that an engine opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineArtifact {
    /// The name of the engine.
    pub(crate) engine: &'static str,
    /// The file or folder.
    pub(crate) path: PathBuf,
}

/// Scanner of the roots.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    /// The folders of models, or single model files.
    pub(crate) roots: Vec<PathBuf>,
    /// The engines in order of preference.
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    /// Defaults for settings that a model leaves out.
    pub(crate) defaults: SettingsDefaults,
    /// The limiter of its reads.
    pub(crate) read_limiter: ReadLimiter,
}

/// A root as its own folder shows it.
enum Root {
    /// One model file.
    File(FoundModel),
    /// One model folder of this name.
    ModelFolder(String),
    /// A folder of model folders.
    Folder(Vec<Entry>),
}

impl Scanner {
    /// Reads all roots. Blocks. Ages are measured from `now`.
    pub(crate) fn scan(&self, now: SystemTime) -> Scan {
        let mut scan = Scan::default();
        for root in &self.roots {
            let reason = match self.scan_root(root, now, &mut scan) {
                Ok(true) => continue,
                Ok(false) => format!("no model was found in `{}`", root.display()),
                Err(error) => format!("`{}` cannot be read: {error}", root.display()),
            };
            scan.without_models.insert(root.clone(), reason);
        }
        scan.warnings.extend(scan.misplaced.iter().cloned());
        scan
    }

    /// Adds the models of a root; returns whether it has any.
    fn scan_root(&self, root: &Path, now: SystemTime, scan: &mut Scan) -> io::Result<bool> {
        let (scanner, path) = (self.clone(), root.to_owned());
        let read = move || scanner.read_root(&path, now);
        let (read, warnings) = self.read_limiter.run(root, read)?;
        scan.warnings.extend(warnings);
        let entries = match read {
            Root::File(found) => return Ok(add(scan, &name_of(root.file_stem()), found)),
            Root::ModelFolder(name) => {
                let found = self.model_folder(root, now, scan);
                return Ok(found.is_some_and(|found| add(scan, &name, found)));
            }
            Root::Folder(entries) => entries,
        };
        scan.misplaced.extend(misplaced::describe_flat(
            &entries,
            &self.engine_names(),
            |stem, engine| format!("{}/{stem}/1/model.{engine}", root.display()),
        ));
        let mut has_models = false;
        for entry in entries.iter().filter(|entry| entry.is_folder) {
            if let Some(found) = self.model_folder(&entry.path, now, scan) {
                has_models |= add(scan, &entry.name, found);
            }
        }
        Ok(has_models)
    }

    /// Reads the folder of a root, with warnings about its entries.
    fn read_root(&self, root: &Path, now: SystemTime) -> io::Result<(Root, BTreeSet<String>)> {
        let mut warnings = BTreeSet::new();
        if fs::metadata(root)?.is_file() {
            return Ok((Root::File(self.single_file(root, now)?), warnings));
        }
        let entries = list(root, &mut warnings)?;
        let read = match self.is_model_folder(root, &entries) {
            true => Root::ModelFolder(name_of(fs::canonicalize(root)?.file_name())),
            false => Root::Folder(entries),
        };
        Ok((read, warnings))
    }

    /// Reads a root that is one file: version 1 of a model with its name.
    fn single_file(&self, file: &Path, now: SystemTime) -> io::Result<FoundModel> {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let engines = self.engines.iter();
        let engines: Vec<_> = engines
            .filter(|engine| Some(engine.name()) == extension)
            .collect();
        let companions = engines.iter().flat_map(|engine| engine.companions(file));
        let files: Vec<_> = std::iter::once(file.to_owned()).chain(companions).collect();
        let (fingerprint, age) = fingerprint::of_files(&files, now)?;
        let found = FoundVersion {
            path: file.to_owned(),
            artifacts: engines
                .iter()
                .map(|engine| EngineArtifact {
                    engine: engine.name(),
                    path: file.to_owned(),
                })
                .collect(),
            fingerprint,
            age,
        };
        let first = Version::new(FIRST_VERSION);
        Ok(FoundModel {
            rollout_file: None,
            path: file.to_owned(),
            settings: self.settings(ModelFile::default(), file),
            versions: first
                .into_iter()
                .map(|first| (first, found.clone()))
                .collect(),
        })
    }

    fn settings(&self, file: ModelFile, path: &Path) -> Result<Arc<ModelSettings>, String> {
        let read_text = |beside: &Path| model_folder::read_text(&path.with_file_name(beside));
        resolve(file, path, &self.defaults, read_text)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }

    /// Returns the names of the engines in order of preference.
    pub(crate) fn engine_names(&self) -> Vec<&'static str> {
        self.engines.iter().map(|engine| engine.name()).collect()
    }

    fn artifacts(&self, folder: &Path) -> Vec<EngineArtifact> {
        let find = |engine: &Arc<dyn Engine>| {
            Some(EngineArtifact {
                engine: engine.name(),
                path: engine.find_artifact(folder)?,
            })
        };
        self.engines.iter().filter_map(find).collect()
    }
}

/// The version of an artifact that is in no version folder.
const FIRST_VERSION: &str = "1";

fn name_of(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Adds a model, unless its name is invalid; a second one of the same name is an error of both.
fn add(scan: &mut Scan, name: &str, found: FoundModel) -> bool {
    let name = match ModelName::new(name) {
        Ok(name) => name,
        Err(error) => {
            let path = found.path.display();
            scan.warnings
                .insert(format!("`{path}` is ignored: {error}"));
            return false;
        }
    };
    match scan.models.get_mut(&name) {
        None => {
            scan.models.insert(name, found);
        }
        Some(first) => {
            first.settings = Err(format!(
                "the model is found twice, in `{}` and in `{}`; keep one",
                first.path.display(),
                found.path.display()
            ));
        }
    }
    true
}

#[cfg(test)]
mod tests;
