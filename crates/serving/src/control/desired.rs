//! The desired state of one model, as set by operators beside its files.
//!
//! Rule: every change makes a new desired state out of the old one, or is refused; nothing is
//! changed in place, so that a state is persisted before it is applied. The routing before the last
//! change of pin, labels or split is part of the state, and a roll back swaps the two; so two roll
//! backs cancel each other. Rejected: undoing by the history, which would have to know how to undo
//! every kind of change.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use contract::{
    Change, Code, Error, ModelName, Result, Split, Version, VersionSelector, check_traffic_name,
};

pub(crate) use record::{entry_from_text, entry_to_text};

/// The desired state of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DesiredState {
    /// Routing between versions.
    pub(crate) routing: RoutingOverride,
    /// Routing before the last change.
    pub(crate) before: Option<RoutingOverride>,
    /// Versions to serve whatever the settings select.
    pub(crate) loaded: BTreeSet<Version>,
    /// Versions not to serve.
    pub(crate) unloaded: BTreeSet<Version>,
    /// Grows with every change.
    pub(crate) generation: u64,
    /// Fingerprint of each version when it was loaded last.
    pub(crate) contents: BTreeMap<Version, String>,
}

/// Routing between versions as set by operators.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RoutingOverride {
    /// The version that answers when none is named.
    pub(crate) pinned: Option<Version>,
    /// The version that answered last when none was named. It goes on while none is pinned, where
    /// new versions wait.
    pub(crate) default: Option<Version>,
    /// Labels, with their versions.
    pub(crate) labels: BTreeMap<String, Version>,
    /// The traffic split.
    pub(crate) split: SplitOverride,
}

/// Source of the split.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum SplitOverride {
    /// From `model.yaml`, if it has one.
    #[default]
    FromFile,
    /// There is none, whatever the file says.
    Disabled,
    /// This one, whatever the file says.
    Explicit(Split),
}

/// Facts against which a change is checked.
#[derive(Clone, Debug)]
pub(crate) struct ValidationContext<'a> {
    /// The model, for errors.
    pub(crate) model: &'a ModelName,
    /// All versions of the model.
    pub(crate) known: BTreeSet<&'a Version>,
    /// The versions that are ready.
    pub(crate) ready: BTreeSet<&'a Version>,
    /// The applied split, whatever its source.
    pub(crate) split: Option<&'a Split>,
    /// The default version, where new versions wait.
    pub(crate) default: Option<&'a Version>,
}

/// A new desired state, with the entry for the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChangeOutcome {
    /// The new desired state.
    pub(crate) desired: DesiredState,
    /// Description of the change, for the history.
    pub(crate) what: String,
    /// The version that was changed.
    pub(crate) version: Option<Version>,
}

impl DesiredState {
    /// Returns the desired state after a change.
    ///
    /// # Errors
    /// `version_not_found`, or `invalid_request` for a change that is not possible now.
    pub(crate) fn after(
        &self,
        change: Change,
        context: &ValidationContext<'_>,
    ) -> Result<ChangeOutcome> {
        let mut next = self.clone();
        next.generation += 1;
        let (what, version) = self.apply(change, &mut next, context)?;
        if next.routing != self.routing {
            next.before = Some(self.routing.clone());
        }
        Ok(ChangeOutcome {
            desired: next,
            what,
            version,
        })
    }

    /// Applies a change to `next`, which equals this state; returns its description and version.
    fn apply(
        &self,
        change: Change,
        next: &mut Self,
        context: &ValidationContext<'_>,
    ) -> Result<(String, Option<Version>)> {
        Ok(match change {
            Change::Load(version) => {
                context.check_known(&version)?;
                next.unloaded.remove(&version);
                next.loaded.insert(version.clone());
                (format!("load version {version}"), Some(version))
            }
            Change::Unload(version) => {
                context.check_known(&version)?;
                self.check_unreferenced(&version, context)?;
                next.loaded.remove(&version);
                next.unloaded.insert(version.clone());
                (format!("unload version {version}"), Some(version))
            }
            Change::Pin(text) => {
                let version = self.ready(&text, context)?;
                next.routing.pinned = Some(version.clone());
                (format!("pin version {version}"), Some(version))
            }
            Change::Unpin => {
                next.routing.pinned = None;
                ("unpin".to_owned(), None)
            }
            Change::Label { label, version } => {
                context.check_label(&label)?;
                let version = self.known(&version, context)?;
                next.routing.labels.insert(label.clone(), version.clone());
                let what = format!("label version {version} as {label}");
                (what, Some(version))
            }
            Change::Unlabel(label) => {
                context.check_unused(&label)?;
                let version = next.routing.labels.remove(&label);
                let version = version.ok_or_else(|| self.no_label(&label))?;
                (format!("remove label {label}"), Some(version))
            }
            Change::Split(split) => {
                self.check_arms(&split, context)?;
                let what = format!("split {}", describe(&split));
                next.routing.split = SplitOverride::Explicit(split);
                (what, None)
            }
            Change::Unsplit => {
                next.routing.split = SplitOverride::Disabled;
                ("remove the split".to_owned(), None)
            }
            Change::RollBack => {
                let before = self.before.clone().ok_or_else(nothing_before)?;
                // Only where new versions wait, the default is fixed as a pin is.
                let default = before
                    .default
                    .as_ref()
                    .filter(|_| context.default.is_some());
                if let Some(version) = before.pinned.as_ref().or(default) {
                    self.ready(version.as_str(), context)?;
                }
                let version = before.pinned.clone();
                next.routing = before;
                ("roll back".to_owned(), version)
            }
        })
    }

    /// Returns the desired state after the files changed the default version.
    pub(crate) fn after_default_change(&self, from: &Version) -> Self {
        let before = RoutingOverride {
            pinned: Some(from.clone()),
            ..self.routing.clone()
        };
        Self {
            before: Some(before),
            ..self.clone()
        }
    }

    /// Returns the desired state after a rollout: its winner is pinned. When that is the candidate,
    /// a roll back returns to `stable`.
    pub(crate) fn after_rollout(&self, winner: &Version, stable: &Version) -> Self {
        let pinned_to = |version: &Version| RoutingOverride {
            pinned: Some(version.clone()),
            ..self.routing.clone()
        };
        let mut next = Self {
            routing: pinned_to(winner),
            generation: self.generation + 1,
            ..self.clone()
        };
        if winner != stable {
            next.before = Some(pinned_to(stable));
        }
        next.unloaded.remove(winner);
        next
    }

    /// Returns the versions to serve whatever the settings select: the loaded ones and those that
    /// the pin, a label or the split refers to.
    pub(crate) fn required(&self, split: Option<&Split>) -> BTreeSet<Version> {
        let arms = split.into_iter().flat_map(|split| &split.arms);
        let arms = arms.filter_map(|arm| match self.routing.labels.get(&arm.version) {
            Some(version) => Some(version.clone()),
            None => Version::new(&arm.version).ok(),
        });
        let named = self
            .routing
            .labels
            .values()
            .chain(&self.routing.pinned)
            .cloned();
        self.loaded
            .iter()
            .cloned()
            .chain(named)
            .chain(arms)
            .collect()
    }

    fn resolve(&self, text: &str, context: &ValidationContext<'_>) -> Option<Version> {
        let exact = context.known.iter().find(|known| known.as_str() == text);
        exact
            .map(|version| (*version).clone())
            .or_else(|| self.routing.labels.get(text).cloned())
    }

    fn known(&self, text: &str, context: &ValidationContext<'_>) -> Result<Version> {
        self.resolve(text, context)
            .filter(|version| context.known.contains(version))
            .ok_or_else(|| context.no_version(text))
    }

    fn ready(&self, text: &str, context: &ValidationContext<'_>) -> Result<Version> {
        let version = self.known(text, context)?;
        match context.ready.contains(&version) {
            true => Ok(version),
            false => Err(Error::invalid(format!(
                "version `{version}` of model `{}` is not ready; load it first",
                context.model
            ))),
        }
    }

    fn check_arms(&self, split: &Split, context: &ValidationContext<'_>) -> Result<()> {
        for (index, arm) in split.arms.iter().enumerate() {
            self.ready(&arm.version, context)
                .map_err(|error| error.in_context(format_args!("`split[{index}].version`")))?;
        }
        Ok(())
    }

    /// Refuses to unload a version that the pin, a label or the split refers to.
    fn check_unreferenced(&self, version: &Version, context: &ValidationContext<'_>) -> Result<()> {
        let labels = self.routing.labels.iter();
        let label = labels
            .into_iter()
            .find(|(_, labelled)| *labelled == version);
        let arms = context.split.into_iter().flat_map(|split| &split.arms);
        let is_arm = |text: &str| self.resolve(text, context).as_ref() == Some(version);
        let reason = if self.routing.pinned.as_ref() == Some(version) {
            "it is pinned; pin another version, or unpin it".to_owned()
        } else if let Some((label, _)) = label {
            format!("the label `{label}` is on it; move or remove the label")
        } else if arms.into_iter().any(|arm| is_arm(&arm.version)) {
            "the split sends requests to it; change the split".to_owned()
        } else if context.is_awaited(version) {
            "it answers by default, and new versions wait; pin another version".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "version `{version}` of model `{}` cannot be unloaded: {reason}",
            context.model
        )))
    }

    fn no_label(&self, label: &str) -> Error {
        let labels: Vec<_> = self
            .routing
            .labels
            .keys()
            .map(|l| format!("`{l}`"))
            .collect();
        let labels = match labels.is_empty() {
            true => "none".to_owned(),
            false => labels.join(", "),
        };
        Error::new(
            Code::VersionNotFound,
            format!(
                "the model has no label `{}`; its labels: {labels}",
                label.escape_debug()
            ),
        )
    }
}

impl ValidationContext<'_> {
    fn check_known(&self, version: &Version) -> Result<()> {
        match self.known.contains(version) {
            true => Ok(()),
            false => Err(self.no_version(version.as_str())),
        }
    }

    /// Returns whether a version answers by default while others wait.
    fn is_awaited(&self, version: &Version) -> bool {
        self.default == Some(version) && self.ready.iter().any(|ready| *ready != version)
    }

    fn no_version(&self, text: &str) -> Error {
        let known: Vec<_> = self.known.iter().map(|v| format!("`{v}`")).collect();
        Error::new(
            Code::VersionNotFound,
            format!(
                "version `{}` of model `{}` is not found; it has {}",
                text.escape_debug(),
                self.model,
                match known.is_empty() {
                    true => "none".to_owned(),
                    false => known.join(", "),
                }
            ),
        )
    }

    /// Checks a label; a version takes precedence over a label of the same text, so such a label
    /// would have no effect.
    fn check_label(&self, label: &str) -> Result<()> {
        check_traffic_name(label)?;
        let is_version = self.known.iter().any(|version| version.as_str() == label);
        if is_version || VersionSelector::parse(Some(label)) == VersionSelector::Latest {
            return Err(Error::invalid(format!(
                "`{label}` cannot be a label: it already names a version"
            )));
        }
        Ok(())
    }

    fn check_unused(&self, label: &str) -> Result<()> {
        let arms = self.split.into_iter().flat_map(|split| &split.arms);
        match arms.into_iter().any(|arm| arm.version == label) {
            true => Err(Error::invalid(format!(
                "the label `{}` cannot be removed: the split sends requests to it",
                label.escape_debug()
            ))),
            false => Ok(()),
        }
    }
}

fn nothing_before() -> Error {
    Error::invalid("there is nothing to go back to: nothing has changed yet")
}

/// Describes a split, such as `1=0.9 canary=0.1 by xxh3`.
fn describe(split: &Split) -> String {
    let arms = split.arms.iter();
    let arms: Vec<_> = arms
        .map(|arm| format!("{}={}", arm.version, arm.weight))
        .collect();
    format!("{} by {}", arms.join(" "), split.hash.as_str())
}

#[cfg(test)]
mod tests;
