//! The environment variables of the process, which are read only here, once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

const PREFIX: &str = "LOCKGATE_";

/// The environment variables of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    variables: Vec<(String, OsString)>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        let variables = std::env::vars_os();
        Self {
            variables: variables
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        }
    }

    /// Creates an environment of the given variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.into()));
        Self {
            variables: owned.collect(),
        }
    }

    /// Returns the value of a variable as a path; an empty one counts as not set.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| path != Path::new(""))
    }

    /// Returns the value of a variable as text; an empty one counts as not set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        let text = found.and_then(|(_, value)| value.to_str());
        text.filter(|text| !text.is_empty())
    }

    /// Returns the settings among the variables, as setting name and text.
    ///
    /// An orchestrator describes a service called `lockgate` by variables such as
    /// `LOCKGATE_PORT=tcp://10.0.0.1:8000`; these are no settings.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.variables.iter().filter_map(|(name, value)| {
            let setting = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
            let text = value.to_str()?;
            let is_service = text.starts_with("tcp://") || text.starts_with("udp://");
            (!is_service).then(|| (setting, text.to_owned()))
        })
    }

    /// Returns the default data folder, by the XDG base directory specification.
    pub(crate) fn data_dir(&self) -> PathBuf {
        let shared = self.path("XDG_DATA_HOME");
        let home = || self.path("HOME").map(|home| home.join(".local/share"));
        shared
            .or_else(home)
            .unwrap_or_else(|| PathBuf::from("."))
            .join("lockgate")
    }
}
