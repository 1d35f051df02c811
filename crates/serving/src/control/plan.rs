//! The plan: actions that bring the served versions in line with the files.
//!
//! Inputs: one model as the scan found it, and the progress of the model.
//! Rule: a selected version is loaded when its artifact is not served, not being loaded and did not
//! fail before, once it has been unchanged for the debounce. A version that was removed is retired
//! when another one is served, or when a scan still misses it after the removal delay: the last
//! version of a model must not go because its folder is replaced at the moment of the scan. A
//! version whose model is unloaded is retired; one that the settings no longer select is retired
//! once every selected one is served, so that a change of version has no gap. The desired state
//! takes precedence over the settings: versions loaded by operators are selected, unloaded ones are
//! not.
//! Cold start: at the first scan, an artifact older than the debounce is loaded at once.
//! Recovery: a failed artifact is tried again when it changes, or when a load is requested.
//! Rejected: loading on the event of a file watch; events come in the middle of a copy, and over
//! network drives not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contract::{Error, Version};

use crate::catalog::artifact::VersionArtifact;
use crate::catalog::layout::FoundModel;
use crate::catalog::settings::{ModelSettings, VersionPolicy};

/// Reason of versions of a model that was unloaded by a call.
pub(crate) const UNLOADED: &str = "unloaded";

/// Reason of models whose served versions have lost their files.
const MISSING: &str =
    "the files of what is served are missing; it is served until a second scan misses them too";

/// Progress of a version.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionProgress {
    /// The artifact that is served.
    pub(crate) serving: Option<VersionArtifact>,
    /// The artifact that is being loaded, or is queued for that.
    pub(crate) loading: Option<VersionArtifact>,
    /// The artifact that failed to load last, with the error.
    pub(crate) failed: Option<(VersionArtifact, Error)>,
    /// The number of loads that failed.
    pub(crate) n_failed_loads: u64,
    /// The artifact that was seen last, and since when.
    pub(crate) seen: Option<(VersionArtifact, Instant)>,
}

impl VersionProgress {
    fn is_debounced(&self, artifact: &VersionArtifact, age: Duration, timing: &Timing) -> bool {
        let is_old = timing.is_first_scan && age >= timing.debounce;
        let is_stable = self.seen.as_ref().is_some_and(|(seen, since)| {
            seen == artifact && timing.now.saturating_duration_since(*since) >= timing.debounce
        });
        timing.debounce.is_zero() || is_old || is_stable
    }

    fn is_done_with(&self, artifact: &VersionArtifact) -> bool {
        let failed = self.failed.as_ref().map(|(artifact, _)| artifact);
        [self.serving.as_ref(), failed].contains(&Some(artifact))
    }
}

/// Progress of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelProgress {
    /// Set when it was unloaded by a call.
    pub(crate) is_unloaded: bool,
    /// Versions that are served whatever the settings select.
    pub(crate) required: BTreeSet<Version>,
    /// Versions that are not served whatever the settings select.
    pub(crate) excluded: BTreeSet<Version>,
    /// Time since when the files of everything that is served are missing.
    pub(crate) missing_since: Option<Instant>,
    /// Its versions.
    pub(crate) versions: BTreeMap<Version, VersionProgress>,
}

impl ModelProgress {
    fn serves(&self, version: &Version) -> bool {
        let record = self.versions.get(version);
        record.is_some_and(|record| record.serving.is_some())
    }

    /// Returns whether a version is served on for now although its files are missing.
    fn outlives_files(&self, version: &Version, timing: &Timing) -> bool {
        let is_confirmed = self.missing_since.is_some_and(|since| {
            timing.now.saturating_duration_since(since) >= timing.removal_delay
        });
        self.serves(version)
            && !self.is_unloaded
            && !self.excluded.contains(version)
            && !is_confirmed
    }
}

/// Times that a plan depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The time of the scan.
    pub(crate) now: Instant,
    /// Time for which files must stay unchanged before a load; zero to load at once.
    pub(crate) debounce: Duration,
    /// Time for which the files of the last version must be missing before it is retired.
    pub(crate) removal_delay: Duration,
    /// Set when the server has just started.
    pub(crate) is_first_scan: bool,
}

/// One action of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Load this artifact, while the served one, if any, keeps serving.
    Load(Version, VersionArtifact),
    /// Remember that this artifact was seen; its files may still change.
    Debounce(Version, VersionArtifact),
    /// Forget that another artifact failed to load: the served one was found again.
    ClearFailure(Version),
    /// Stop serving the version and forget it.
    Retire(Version),
}

/// Plan for one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Reason why the model as a whole is not served as configured; empty otherwise.
    pub(crate) reason: String,
    /// The actions.
    pub(crate) actions: Vec<Action>,
    /// Versions that exist but are not meant to be served, with the reason.
    pub(crate) idle: BTreeMap<Version, String>,
    /// True when the files of everything that is served are missing.
    pub(crate) is_missing: bool,
}

/// Makes the plan for one model. `found` is `None` when its folder was removed.
pub(crate) fn plan(found: Option<&FoundModel>, progress: &ModelProgress, timing: &Timing) -> Plan {
    let Some(found) = found else {
        return plan_missing(progress, timing);
    };
    let all_idle = |reason: &str| {
        let idle = |version: &Version| (version.clone(), reason.to_owned());
        found.versions.keys().map(idle).collect()
    };
    if progress.is_unloaded {
        return Plan {
            reason: UNLOADED.to_owned(),
            actions: retire(progress, |_| true),
            idle: all_idle(UNLOADED),
            is_missing: false,
        };
    }
    match &found.settings {
        Ok(settings) => plan_selected(found, settings, progress, timing),
        // Served versions stay: a mistake in a text file must not stop them.
        Err(reason) => Plan {
            reason: reason.clone(),
            actions: retire(progress, |version| progress.excluded.contains(version)),
            idle: all_idle(reason),
            is_missing: false,
        },
    }
}

/// Makes the plan for a model whose folder is missing.
fn plan_missing(progress: &ModelProgress, timing: &Timing) -> Plan {
    let is_kept = |version: &Version| progress.outlives_files(version, timing);
    let is_missing = progress.versions.keys().any(is_kept);
    Plan {
        reason: reason_of_missing(is_missing),
        actions: retire(progress, |version| !is_kept(version)),
        is_missing,
        ..Plan::default()
    }
}

fn plan_selected(
    found: &FoundModel,
    settings: &ModelSettings,
    progress: &ModelProgress,
    timing: &Timing,
) -> Plan {
    let selected = select(&settings.versions, found, progress);
    let mut actions = Vec::new();
    // The highest first: it is the one that most callers use.
    for (version, found) in found.versions.iter().rev() {
        if selected.contains(version) {
            let artifact = VersionArtifact::new(found, settings);
            let record = progress.versions.get(version);
            actions.extend(plan_version(version, artifact, found.age, record, timing));
        }
    }
    let serves = |version: &Version| progress.serves(version);
    let can_retire = !selected.is_empty() && selected.iter().all(serves);
    let is_gone = |version: &Version| !found.versions.contains_key(version);
    let is_replaced = selected.iter().any(serves);
    let is_kept = |version: &Version| {
        is_gone(version) && !is_replaced && progress.outlives_files(version, timing)
    };
    let is_missing = progress.versions.keys().any(is_kept);
    actions.extend(retire(progress, |version| {
        let is_removed = is_gone(version) && !is_kept(version);
        let is_idle = !selected.contains(version) && (can_retire || !serves(version));
        is_removed || is_idle || progress.excluded.contains(version)
    }));
    let left_out = |version: &Version| match progress.excluded.contains(version) {
        true => UNLOADED.to_owned(),
        false => "left out by `versions` in `model.yaml`".to_owned(),
    };
    let idle = found.versions.keys().filter(|v| !selected.contains(*v));
    let reason = missing(&settings.versions, found);
    Plan {
        reason: reason.unwrap_or_else(|| reason_of_missing(is_missing)),
        actions,
        idle: idle
            .map(|version| (version.clone(), left_out(version)))
            .collect(),
        is_missing,
    }
}

fn plan_version(
    version: &Version,
    artifact: VersionArtifact,
    age: Duration,
    record: Option<&VersionProgress>,
    timing: &Timing,
) -> Option<Action> {
    let new = VersionProgress::default();
    let record = record.unwrap_or(&new);
    if record.loading.as_ref() == Some(&artifact) {
        return None;
    }
    if record.loading.is_none() {
        if record.is_done_with(&artifact) {
            let is_back = record.serving.as_ref() == Some(&artifact) && record.failed.is_some();
            return is_back.then(|| Action::ClearFailure(version.clone()));
        }
        if record.is_debounced(&artifact, age, timing) {
            return Some(Action::Load(version.clone(), artifact));
        }
    }
    let is_seen = record
        .seen
        .as_ref()
        .is_some_and(|(seen, _)| *seen == artifact);
    (!is_seen).then(|| Action::Debounce(version.clone(), artifact))
}

fn retire(progress: &ModelProgress, should_retire: impl Fn(&Version) -> bool) -> Vec<Action> {
    let over = progress
        .versions
        .keys()
        .filter(|version| should_retire(version));
    over.map(|version| Action::Retire(version.clone()))
        .collect()
}

fn select(
    policy: &VersionPolicy,
    found: &FoundModel,
    progress: &ModelProgress,
) -> BTreeSet<Version> {
    let is_required = |v: &Version| progress.required.contains(v);
    let required: BTreeSet<_> = found
        .versions
        .keys()
        .filter(|v| is_required(v))
        .cloned()
        .collect();
    let is_allowed = |v: &Version| !progress.excluded.contains(v);
    let versions = found.versions.keys().filter(|v| is_allowed(v)).cloned();
    let selected: BTreeSet<_> = match policy {
        VersionPolicy::All => versions.collect(),
        VersionPolicy::Latest(n) => versions.rev().take(n.get()).collect(),
        VersionPolicy::Only(only) => versions.filter(|v| only.contains(v)).collect(),
    };
    selected.into_iter().chain(required).collect()
}

fn reason_of_missing(is_missing: bool) -> String {
    match is_missing {
        true => MISSING.to_owned(),
        false => String::new(),
    }
}

/// Describes versions that the settings name and the folder does not have.
fn missing(policy: &VersionPolicy, found: &FoundModel) -> Option<String> {
    let VersionPolicy::Only(required) = policy else {
        return None;
    };
    let missing: Vec<_> = required
        .iter()
        .filter(|version| !found.versions.contains_key(version))
        .map(|version| format!("`{version}`"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "`versions.only` in `model.yaml` names {}, which `{}` does not have",
            missing.join(", "),
            found.path.display()
        )
    })
}

#[cfg(test)]
mod tests;
