//! `model.yaml`: what the owner of a model wrote about serving it.
//!
//! Decision: two types and one function between them. [`ModelFile`] is the text as serde reads it,
//! every key optional; [`ModelSettings`] is what the server will do, every value decided. A mistake
//! is an error with the path of the file, never a setting without effect.

mod file;
mod resolve;
mod traffic;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_saphyr::{
    Budget, Localizer, MessageFormatter, Options, SnippetMode, UserMessageFormatter,
};

pub(crate) use file::ModelFile;
pub(crate) use resolve::{
    ModelSettings, SettingsDefaults, VersionPolicy, VersionSettings, Warmup, resolve,
};

pub(crate) use traffic::TrafficFile;

/// A `model.yaml` with every key, its meaning and its default: the reference of the format.
pub const DEFAULT_MODEL_SETTINGS: &str = include_str!("settings/default.yaml");

/// Far above any real file: labels of a thousand classes take about 30 kB.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Settings nest three deep; the rest is room for labels and anchors.
const MAX_DEPTH: usize = 16;

/// Enough for tens of thousands of labels, and few enough to parse in milliseconds.
const MAX_NODES: usize = 100_000;

/// What is wrong with a `model.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The text is no YAML, or a key or value is not one that is known.
    #[error("`{path}`: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value is well-formed and makes no sense.
    #[error("`{path}`: `{key}`: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with dots between the levels.
        key: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A file cannot be read.
    #[error("`{path}`: {message}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        message: String,
    },
}

/// Says what was expected in words for people who write YAML and no Rust.
#[derive(Clone, Copy, Debug)]
struct UserMessages;

impl MessageFormatter for UserMessages {
    fn localizer(&self) -> &dyn Localizer {
        UserMessageFormatter.localizer()
    }

    fn format_message<'a>(&self, error: &'a serde_saphyr::Error) -> Cow<'a, str> {
        if let serde_saphyr::Error::InvalidScalar { ty, .. } = error {
            return Cow::Borrowed(match *ty {
                "f32" | "f64" | "floating point" => "expected a number",
                "bool" | "boolean" => "expected `true` or `false`",
                _ => "expected a whole number that is not negative",
            });
        }
        UserMessageFormatter.format_message(error)
    }
}

/// Reads the text of a `model.yaml`; `path` is for the error.
pub(crate) fn parse(text: &str, path: &Path) -> Result<ModelFile, SettingsError> {
    // A file of comments alone is an empty document, which is a file without settings.
    let file: Option<ModelFile> = serde_saphyr::from_str_with_options(text, yaml_options())
        .map_err(|error| SettingsError::Parse {
            path: path.to_owned(),
            message: user_message(&error),
        })?;
    Ok(file.unwrap_or_default())
}

/// An error of a file for people who write YAML and no Rust.
pub(crate) fn user_message(error: &serde_saphyr::Error) -> String {
    let options = serde_saphyr::render_options! {
        formatter: &UserMessages,
        snippets: SnippetMode::Off,
    };
    error.render_with_options(options)
}

/// What a file of settings may cost to read.
pub(crate) fn yaml_options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.flow_nesting_limit = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_documents = 1;
    serde_saphyr::options! { budget: Some(budget) }
}

#[cfg(test)]
mod tests;
