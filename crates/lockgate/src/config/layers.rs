//! Layers of settings, merged key by key with the source of each value.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use serde_saphyr::SnippetMode;

use super::{DEFAULT_FILE, Environment, RawConfig};

/// The configuration file that is read when none is named.
const DEFAULT_PATH: &str = "lockgate.yaml";

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The default file.
    Default,
    /// The file with this path.
    File(PathBuf),
    /// The environment variable of the setting.
    Environment,
    /// The flag of the setting.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// All settings with their sources, in the order of the default file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layers {
    entries: Vec<(String, Value, Source)>,
    unknown_variables: Vec<String>,
}

impl Layers {
    /// Merges the default, the file, the environment and the flags, later ones winning.
    ///
    /// # Errors
    /// When the file cannot be read, or has an unknown key or a value of a wrong type; with path,
    /// line and column. The same for an environment variable, with its name.
    pub(crate) fn read(
        file: Option<&Path>,
        environment: &Environment,
        flags: &RawConfig,
    ) -> Result<Self> {
        let mut layers = Self {
            entries: Vec::new(),
            unknown_variables: Vec::new(),
        };
        for (key, value) in to_map(&parse_yaml(DEFAULT_FILE).context("the default file")?)? {
            layers.entries.push((key, value, Source::Default));
        }
        if let Some((path, raw)) = read_file(file)? {
            layers.overlay(&raw, &Source::File(path))?;
        }
        layers.unknown_variables = unknown_variables(environment)?;
        layers.overlay(&from_environment(environment)?, &Source::Environment)?;
        layers.overlay(flags, &Source::Flag)?;
        Ok(layers)
    }

    /// Returns environment variables that look like settings but are not.
    pub(crate) fn unknown_variables(&self) -> &[String] {
        &self.unknown_variables
    }

    /// Returns each setting with its value and source.
    pub(crate) fn entries(&self) -> &[(String, Value, Source)] {
        &self.entries
    }

    /// Returns the merged settings.
    ///
    /// # Errors
    /// Never for layers that were read, because their types have been checked.
    pub(crate) fn merged(&self) -> Result<RawConfig> {
        let map: Map<String, Value> = self
            .entries
            .iter()
            .map(|(key, value, _)| (key.clone(), value.clone()))
            .collect();
        serde_json::from_value(Value::Object(map)).context("merged settings")
    }

    fn overlay(&mut self, raw: &RawConfig, source: &Source) -> Result<()> {
        for (key, value) in to_map(raw)? {
            let entry = self.entries.iter_mut().find(|(known, ..)| *known == key);
            if let (Some(entry), false) = (entry, value.is_null()) {
                (entry.1, entry.2) = (value, source.clone());
            }
        }
        Ok(())
    }
}

fn to_map(raw: &RawConfig) -> Result<Map<String, Value>> {
    let value = serde_json::to_value(raw).context("settings as a map")?;
    let Value::Object(map) = value else {
        bail!("internal: settings are not a map: {value}");
    };
    Ok(map)
}

fn parse_yaml(text: &str) -> Result<RawConfig> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(RawConfig::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let options = serde_saphyr::render_options! { snippets: SnippetMode::Off };
        anyhow::anyhow!("{}", error.render_with_options(options))
    })
}

/// Reads the named file, or the default one if it exists.
fn read_file(file: Option<&Path>) -> Result<Option<(PathBuf, RawConfig)>> {
    let path = match file {
        Some(path) => path,
        None if Path::new(DEFAULT_PATH).exists() => Path::new(DEFAULT_PATH),
        None => return Ok(None),
    };
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read configuration file `{}`", path.display()))?;
    let raw = parse_yaml(&text).with_context(|| {
        format!(
            "configuration file `{}` is invalid; `lockgate config --defaults` prints every key",
            path.display()
        )
    })?;
    Ok(Some((path.to_path_buf(), raw)))
}

/// Reads each variable as the YAML value of its setting, so that types are the same.
fn from_environment(environment: &Environment) -> Result<RawConfig> {
    let known = to_map(&RawConfig::default())?;
    let mut map = Map::new();
    for (key, text) in environment.settings() {
        if !known.contains_key(&key) || text.is_empty() {
            continue;
        }
        let Ok(raw) = parse_yaml(&format!("{key}: {}", as_yaml(&key, &text))) else {
            bail!(
                "`LOCKGATE_{}` cannot be `{text}`; `lockgate config --defaults` shows valid values",
                key.to_ascii_uppercase()
            );
        };
        let raw = to_map(&raw)?;
        map.extend(raw.into_iter().filter(|(name, _)| *name == key));
    }
    serde_json::from_value(Value::Object(map)).context("settings of the environment")
}

/// Returns variables that look like settings but are not, such as typing errors.
fn unknown_variables(environment: &Environment) -> Result<Vec<String>> {
    let known = to_map(&RawConfig::default())?;
    Ok(environment
        .settings()
        .map(|(key, _)| key)
        .filter(|key| !known.contains_key(key) && !is_known_elsewhere(key))
        .map(|key| format!("LOCKGATE_{}", key.to_ascii_uppercase()))
        .collect())
}

/// Returns whether a variable has another use: the path of the configuration file, the address of
/// the server for clients, the Python of our tests, or the description of a service named
/// `lockgate` by an orchestrator.
fn is_known_elsewhere(key: &str) -> bool {
    let is_service = key.starts_with("service_") || key.starts_with("port_");
    matches!(key, "config" | "url" | "python") || is_service
}

/// Converts the text of a variable to YAML. A list of paths is written with colons, like a search
/// path, and one of origins, which have colons, with commas.
fn as_yaml(key: &str, text: &str) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let list = |separator: char| {
        let items: Vec<_> = text.split(separator).map(quote).collect();
        format!("[{}]", items.join(", "))
    };
    match key {
        "repository" => list(':'),
        "cors_origins" => list(','),
        "host" | "new_versions" | "redis" | "redis_ca" | "public_url" | "webhook_ca"
        | "onnxruntime" | "data_dir" | "state_dir" | "log_format" | "log_level" => quote(text),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
