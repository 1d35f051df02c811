//! One model folder: its settings and its versions.
//!
//! Decision: a folder is a model when it has settings, an artifact or a version folder; anything
//! else is ignored, so that a folder of notes does not keep the server from being ready.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use contract::Version;

use super::super::settings::{MAX_FILE_BYTES, ModelSettings, SettingsError, parse};
use super::entries::{Entry, list};
use super::{
    FIRST_VERSION, FoundModel, FoundRolloutFile, FoundVersion, ROLLOUT_FILE, SETTINGS_FILE, Scan,
    Scanner, fingerprint, misplaced,
};

impl Scanner {
    /// Returns whether a root is itself a model and not a folder of models.
    pub(super) fn is_model_folder(&self, folder: &Path, entries: &[Entry]) -> bool {
        let has_settings = entries.iter().any(is_settings);
        let folders: Vec<_> = entries.iter().filter(|entry| entry.is_folder).collect();
        let are_numbers = |entry: &&Entry| entry.name.bytes().all(|byte| byte.is_ascii_digit());
        let only_versions = folders.iter().all(|entry| is_version(entry));
        has_settings
            || (!folders.is_empty() && folders.iter().all(are_numbers))
            || (only_versions && !self.artifacts(folder).is_empty())
    }

    /// Reads the model in a folder; `None` when there is none. A read error, or that the folder does
    /// not answer, becomes its reason.
    pub(super) fn model_folder(
        &self,
        folder: &Path,
        now: SystemTime,
        scan: &mut Scan,
    ) -> Option<FoundModel> {
        let (scanner, path) = (self.clone(), folder.to_owned());
        let read = move || {
            let mut notes = Scan::default();
            let found = scanner.read_model_folder(&path, now, &mut notes)?;
            Ok((found, notes))
        };
        match self.read_limiter.run(folder, read) {
            Ok((found, notes)) => {
                scan.warnings.extend(notes.warnings);
                scan.misplaced.extend(notes.misplaced);
                found
            }
            Err(error) => Some(FoundModel {
                path: folder.to_owned(),
                settings: Err(format!("`{}` cannot be read: {error}", folder.display())),
                versions: BTreeMap::new(),
                rollout_file: None,
            }),
        }
    }

    fn read_model_folder(
        &self,
        folder: &Path,
        now: SystemTime,
        scan: &mut Scan,
    ) -> io::Result<Option<FoundModel>> {
        let warnings = &mut scan.warnings;
        let entries = list(folder, warnings)?;
        let versions = self.versions(folder, &entries, now)?;
        let has_settings = entries.iter().any(is_settings);
        let misspelt = [("model.yml", SETTINGS_FILE), ("rollout.yml", ROLLOUT_FILE)];
        for (wrong, name) in misspelt {
            if let Some(entry) = entries.iter().find(|entry| entry.name == wrong) {
                let path = entry.path.display();
                warnings.insert(format!("`{path}` is ignored: its name is `{name}`"));
            }
        }
        let rollout_file = entries.iter().find(|entry| is_file(entry, ROLLOUT_FILE));
        self.warn_about_names(&entries, warnings);
        if versions.is_empty() {
            let engines = self.engine_names();
            let expected = |_: &str, engine: &str| format!("{}/1/model.{engine}", folder.display());
            let found = misplaced::describe_flat(&entries, &engines, expected);
            scan.misplaced.extend(found);
        }
        if versions.is_empty() && !has_settings {
            return Ok(None);
        }
        Ok(Some(FoundModel {
            path: folder.to_owned(),
            settings: self.read_settings(folder, has_settings),
            versions,
            rollout_file: rollout_file.map(|entry| FoundRolloutFile::read(entry.path.clone())),
        }))
    }

    /// Warns about artifacts in folders whose names are not versions: they were meant to be served.
    fn warn_about_names(&self, entries: &[Entry], warnings: &mut BTreeSet<String>) {
        let others = entries.iter().filter(|entry| entry.is_folder);
        for entry in others.filter(|entry| !is_version(entry)) {
            if !self.artifacts(&entry.path).is_empty() {
                let path = entry.path.display();
                warnings.insert(format!(
                    "`{path}` is ignored: a version is a number or a name with a number in it, \
                     such as `v1.0`"
                ));
            }
        }
    }

    fn read_settings(
        &self,
        folder: &Path,
        has_settings: bool,
    ) -> Result<Arc<ModelSettings>, String> {
        let path = folder.join(SETTINGS_FILE);
        let text = match has_settings {
            true => read_text(&path).map_err(|error| error.to_string())?,
            false => String::new(),
        };
        let file = parse(&text, &path).map_err(|error| error.to_string())?;
        self.settings(file, &path)
    }

    fn versions(
        &self,
        folder: &Path,
        entries: &[Entry],
        now: SystemTime,
    ) -> io::Result<BTreeMap<Version, FoundVersion>> {
        let mut versions = BTreeMap::new();
        for entry in entries.iter().filter(|entry| is_version(entry)) {
            let Ok(version) = Version::new(&entry.name) else {
                continue;
            };
            let found = self.version(&entry.path, now, &|_| false)?;
            versions.insert(version, found);
        }
        self.add_bare_artifact(folder, now, &mut versions)?;
        Ok(versions)
    }

    /// Adds an artifact that is directly in the model folder as version 1; a folder without an
    /// artifact is then part of it and not a version.
    fn add_bare_artifact(
        &self,
        folder: &Path,
        now: SystemTime,
        versions: &mut BTreeMap<Version, FoundVersion>,
    ) -> io::Result<()> {
        if self.artifacts(folder).is_empty() {
            return Ok(());
        }
        versions.retain(|_, found| !found.artifacts.is_empty());
        let is_other_version = |entry: &Entry| {
            is_settings(entry)
                || is_file(entry, ROLLOUT_FILE)
                || versions.keys().any(|other| other.as_str() == entry.name)
        };
        let found = self.version(folder, now, &is_other_version)?;
        if let Ok(first) = Version::new(FIRST_VERSION) {
            versions.entry(first).or_insert(found);
        }
        Ok(())
    }

    fn version(
        &self,
        folder: &Path,
        now: SystemTime,
        skip: &dyn Fn(&Entry) -> bool,
    ) -> io::Result<FoundVersion> {
        let (fingerprint, age) = fingerprint::of_folder(folder, now, skip)?;
        Ok(FoundVersion {
            path: folder.to_owned(),
            artifacts: self.artifacts(folder),
            fingerprint,
            age,
        })
    }
}

fn is_settings(entry: &Entry) -> bool {
    is_file(entry, SETTINGS_FILE)
}

fn is_file(entry: &Entry, name: &str) -> bool {
    !entry.is_folder && entry.name == name
}

fn is_version(entry: &Entry) -> bool {
    entry.is_folder && Version::new(&entry.name).is_ok()
}

/// Reads the text of a settings file or of a file that it names.
pub(super) fn read_text(path: &Path) -> Result<String, SettingsError> {
    let failed = |message: String| SettingsError::Read {
        path: path.to_owned(),
        message,
    };
    let mut text = String::new();
    // Reading a pipe would wait for its writer, and a device may never end.
    let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a regular file".to_owned()));
    }
    let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    match u64::try_from(text.len()) {
        Ok(n_bytes) if n_bytes <= MAX_FILE_BYTES => Ok(text),
        Ok(_) | Err(_) => Err(failed(format!(
            "it is over the limit of {MAX_FILE_BYTES} bytes"
        ))),
    }
}
