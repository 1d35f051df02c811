//! The meaning of a rollout file in the folder of its model.
//!
//! Inputs: the text, the versions of the model, its running rollout and the files that were started
//! before. Rule: a file starts one rollout of each candidate. Its candidate is the version that it
//! names, or the highest that is ready and above the one that answers. A file that is changed while
//! its rollout runs has no effect on it, and is not started after it either; a file for another
//! candidate waits for the end. A file that is removed ends nothing. Cold start: what runs or has
//! run is known from the store. Recovery: an invalid file is a warning until it is changed, and the
//! model serves on. Rejected: to apply changes to a running rollout, because its evidence was
//! collected under the old limits; to start a changed file after a rollback, because an edit that
//! was meant for the rollout would put a candidate on trial again that has just failed.

use contract::{ModelName, Version};

use super::super::registry::ActiveRollout;
use super::started::{FileKey, StartedFiles};
use crate::config::folder::FolderFile;
use crate::config::{ConfigError, RolloutConfig};

/// A model with a rollout file.
#[derive(Debug)]
pub struct FileSituation<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The text of the file.
    pub text: &'a str,
    /// The files that were started before.
    pub started: Option<&'a StartedFiles>,
    /// The running rollout of the model.
    pub running: Option<&'a ActiveRollout>,
    /// The version that answers requests that name none.
    pub default: Option<&'a Version>,
    /// The versions that are ready, ascending.
    pub ready: &'a [Version],
    /// True when new versions wait for their rollout.
    pub has_waiting_versions: bool,
}

/// Decision about a rollout file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlan {
    /// Nothing: it runs, has run, or waits for a newer version.
    Nothing,
    /// Nothing, for a reason that an operator should know.
    Warn(String),
    /// Never start this file, for a reason that an operator should know.
    Ignore(FileKey, String),
    /// Start this text.
    Start(FileKey, String),
}

/// Advice for models whose new versions answer at once.
const ADVICE: &str = "set `new_versions: wait` in `model.yaml`, so that a new version waits for its \
                      rollout";

impl FileSituation<'_> {
    /// Decides what to do about the file.
    #[must_use]
    pub fn plan(&self) -> FilePlan {
        plan_valid(self).unwrap_or_else(|error| FilePlan::Warn(format!("is invalid: {error}")))
    }
}

fn plan_valid(situation: &FileSituation<'_>) -> Result<FilePlan, ConfigError> {
    let file = FolderFile::parse(situation.text)?;
    let named = file.candidate()?;
    let newest = || {
        let is_newer = |version: &&Version| Some(*version) > situation.default;
        situation.ready.last().filter(is_newer).cloned()
    };
    let Some(candidate) = named.or_else(newest) else {
        return Ok(match situation.has_waiting_versions {
            true => FilePlan::Nothing,
            false => FilePlan::Warn(format!("has no effect: {ADVICE}")),
        });
    };
    let key = FileKey::new(situation.text, &candidate);
    if let Some(running) = situation.running {
        return Ok(while_running(situation, running, &candidate, key));
    }
    if situation
        .started
        .is_some_and(|started| started.contains(&key))
    {
        return Ok(FilePlan::Nothing);
    }
    let Some(default) = situation.default else {
        return Ok(FilePlan::Warn(
            "waits for a version that answers".to_owned(),
        ));
    };
    if *default == candidate {
        let advice = match situation.has_waiting_versions {
            true => String::new(),
            false => format!("; {ADVICE}"),
        };
        let message = format!("has no effect: version `{candidate}` answers all requests{advice}");
        return Ok(FilePlan::Warn(message));
    }
    let text = file.completed(situation.model, default, &candidate)?;
    RolloutConfig::parse(&text)?;
    if !situation.ready.contains(&candidate) {
        let message = format!("waits for version `{candidate}`, which is not ready");
        return Ok(FilePlan::Warn(message));
    }
    Ok(FilePlan::Start(key, text))
}

fn while_running(
    situation: &FileSituation<'_>,
    running: &ActiveRollout,
    candidate: &Version,
    key: FileKey,
) -> FilePlan {
    let id = &running.id;
    let started = situation.started;
    if started.is_some_and(|started| started.has_started(id, &key)) {
        return FilePlan::Nothing;
    }
    if running.candidate == *candidate {
        let message = format!(
            "has no effect on rollout `{id}`, which runs as it was started; abort it, or change \
             the file again after its end to start another one"
        );
        return FilePlan::Ignore(key, message);
    }
    FilePlan::Warn(format!("waits for the end of rollout `{id}`"))
}

#[cfg(test)]
mod tests;
