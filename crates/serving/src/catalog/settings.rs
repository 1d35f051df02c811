//! Model settings: the contents of `model.yaml`.
//!
//! Decision: two types and one function between them. [`ModelFile`] is the text as serde reads it,
//! every key optional; [`ModelSettings`] has every value resolved. A mistake is an error with the
//! path of the file, never a setting without effect.

mod file;
mod resolve;

use std::path::{Path, PathBuf};

use api::yaml::{user_message, yaml_options};

pub(crate) use file::ModelFile;
pub(crate) use resolve::{
    ModelSettings, SettingsDefaults, VersionPolicy, VersionSettings, Warmup, resolve,
};

/// A `model.yaml` with every key, its meaning and its default: the reference of the format.
pub const DEFAULT_MODEL_SETTINGS: &str = include_str!("settings/default.yaml");

/// Largest file, far above any real one: labels of a thousand classes take about 30 kB.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Error in a `model.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The text is not YAML, or a key or value is unknown.
    #[error("`{path}`: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The mistake, with line and column.
        message: String,
    },
    /// A value is well-formed but invalid.
    #[error("`{path}`: `{key}`: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with dots between the levels.
        key: &'static str,
        /// The mistake, and what would be right.
        message: String,
    },
    /// A file cannot be read.
    #[error("`{path}`: {message}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The message of the system.
        message: String,
    },
}

/// Parses the text of a `model.yaml`; `path` is for the error.
pub(crate) fn parse(text: &str, path: &Path) -> Result<ModelFile, SettingsError> {
    // A file of comments alone is an empty document, which is a file without settings.
    let file: Option<ModelFile> = serde_saphyr::from_str_with_options(text, yaml_options())
        .map_err(|error| SettingsError::Parse {
            path: path.to_owned(),
            message: user_message(&error),
        })?;
    Ok(file.unwrap_or_default())
}

#[cfg(test)]
mod tests;
