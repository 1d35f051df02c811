//! What operators have asked for about one model, beside its files.
//!
//! Rule: every change makes new wishes out of the old ones, or is refused; nothing is changed in
//! place, so that wishes are kept on disk before anybody obeys them. The step before the last
//! change of pin, labels or split is part of the wishes, and going back swaps the two; so going back
//! twice is where one began. Rejected: undoing by the history, which would have to know how to undo
//! every kind of change.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use contract::{
    Change, Code, Error, ModelName, Result, Split, Version, VersionSelector, check_traffic_name,
};

pub(crate) use record::{entry_from_text, entry_to_text};

/// Everything that was asked for about one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    /// What decides between versions.
    pub(crate) turn: Turn,
    /// What decided before the last change.
    pub(crate) before: Option<Turn>,
    /// Versions to serve whatever the settings select.
    pub(crate) loaded: BTreeSet<Version>,
    /// Versions not to serve.
    pub(crate) unloaded: BTreeSet<Version>,
    /// Grows with every change.
    pub(crate) generation: u64,
    /// What identified the content of each version when it was loaded last.
    pub(crate) contents: BTreeMap<Version, String>,
}

/// What decides between versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turn {
    /// The version that answers when none is named.
    pub(crate) pinned: Option<Version>,
    /// Further names of versions.
    pub(crate) labels: BTreeMap<String, Version>,
    /// How requests are shared out.
    pub(crate) split: SplitWish,
}

/// Where the split comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum SplitWish {
    /// From `model.yaml`, if it has one.
    #[default]
    AsInFile,
    /// There is none, whatever the file says.
    Nothing,
    /// This one, whatever the file says.
    This(Split),
}

/// What a change is checked against.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings<'a> {
    /// The model, for errors.
    pub(crate) model: &'a ModelName,
    /// Every version that is there.
    pub(crate) known: BTreeSet<&'a Version>,
    /// Those that serve.
    pub(crate) ready: BTreeSet<&'a Version>,
    /// The split in force, wherever it comes from.
    pub(crate) split: Option<&'a Split>,
}

/// New wishes, and what has to be told about them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The new wishes.
    pub(crate) wishes: Wishes,
    /// What was done, for the history.
    pub(crate) what: String,
    /// The version that it was done to.
    pub(crate) version: Option<Version>,
}

impl Wishes {
    /// The wishes after a change.
    ///
    /// # Errors
    /// `version_not_found`, or `invalid_request` for what makes no sense now.
    pub(crate) fn after(&self, change: Change, around: &Surroundings<'_>) -> Result<Outcome> {
        let mut next = self.clone();
        next.generation += 1;
        let (what, version) = self.apply(change, &mut next, around)?;
        if next.turn != self.turn {
            next.before = Some(self.turn.clone());
        }
        Ok(Outcome {
            wishes: next,
            what,
            version,
        })
    }

    /// Makes `next`, which equals these wishes, obey a change; gives what was done to which version.
    fn apply(
        &self,
        change: Change,
        next: &mut Self,
        around: &Surroundings<'_>,
    ) -> Result<(String, Option<Version>)> {
        Ok(match change {
            Change::Load(version) => {
                around.check_known(&version)?;
                next.unloaded.remove(&version);
                next.loaded.insert(version.clone());
                (format!("load version {version}"), Some(version))
            }
            Change::Unload(version) => {
                around.check_known(&version)?;
                self.check_free(&version, around)?;
                next.loaded.remove(&version);
                next.unloaded.insert(version.clone());
                (format!("unload version {version}"), Some(version))
            }
            Change::Pin(text) => {
                let version = self.ready(&text, around)?;
                next.turn.pinned = Some(version.clone());
                (format!("pin version {version}"), Some(version))
            }
            Change::Unpin => {
                next.turn.pinned = None;
                ("unpin".to_owned(), None)
            }
            Change::Label { label, version } => {
                around.check_label(&label)?;
                let version = self.known(&version, around)?;
                next.turn.labels.insert(label.clone(), version.clone());
                let what = format!("label version {version} as {label}");
                (what, Some(version))
            }
            Change::Unlabel(label) => {
                around.check_unused(&label)?;
                let version = next.turn.labels.remove(&label);
                let version = version.ok_or_else(|| self.no_label(&label))?;
                (format!("remove label {label}"), Some(version))
            }
            Change::Split(split) => {
                self.check_arms(&split, around)?;
                let what = format!("split {}", describe(&split));
                next.turn.split = SplitWish::This(split);
                (what, None)
            }
            Change::Unsplit => {
                next.turn.split = SplitWish::Nothing;
                ("remove the split".to_owned(), None)
            }
            Change::RollBack => {
                let before = self.before.clone().ok_or_else(nothing_before)?;
                if let Some(pinned) = &before.pinned {
                    self.ready(pinned.as_str(), around)?;
                }
                let version = before.pinned.clone();
                next.turn = before;
                ("roll back".to_owned(), version)
            }
        })
    }

    /// The wishes after the files have made another version answer by default.
    pub(crate) fn after_default_moved(&self, from: &Version) -> Self {
        let before = Turn {
            pinned: Some(from.clone()),
            ..self.turn.clone()
        };
        Self {
            before: Some(before),
            ..self.clone()
        }
    }

    /// The wishes after a rollout: its winner answers from now on. When that is the candidate, one
    /// step back is `stable`.
    pub(crate) fn after_rollout(&self, winner: &Version, stable: &Version) -> Self {
        let pinned_to = |version: &Version| Turn {
            pinned: Some(version.clone()),
            ..self.turn.clone()
        };
        let mut next = Self {
            turn: pinned_to(winner),
            generation: self.generation + 1,
            ..self.clone()
        };
        if winner != stable {
            next.before = Some(pinned_to(stable));
        }
        next.unloaded.remove(winner);
        next
    }

    /// Versions to serve whatever the settings select, with those that somebody counts on.
    pub(crate) fn wanted(&self, split: Option<&Split>) -> BTreeSet<Version> {
        let arms = split.into_iter().flat_map(|split| &split.arms);
        let arms = arms.filter_map(|arm| match self.turn.labels.get(&arm.version) {
            Some(version) => Some(version.clone()),
            None => Version::new(&arm.version).ok(),
        });
        let named = self.turn.labels.values().chain(&self.turn.pinned).cloned();
        self.loaded
            .iter()
            .cloned()
            .chain(named)
            .chain(arms)
            .collect()
    }

    fn resolve(&self, text: &str, around: &Surroundings<'_>) -> Option<Version> {
        let exact = around.known.iter().find(|known| known.as_str() == text);
        exact
            .map(|version| (*version).clone())
            .or_else(|| self.turn.labels.get(text).cloned())
    }

    fn known(&self, text: &str, around: &Surroundings<'_>) -> Result<Version> {
        self.resolve(text, around)
            .filter(|version| around.known.contains(version))
            .ok_or_else(|| around.no_version(text))
    }

    fn ready(&self, text: &str, around: &Surroundings<'_>) -> Result<Version> {
        let version = self.known(text, around)?;
        match around.ready.contains(&version) {
            true => Ok(version),
            false => Err(Error::invalid(format!(
                "version `{version}` of model `{}` is not ready; load it first",
                around.model
            ))),
        }
    }

    fn check_arms(&self, split: &Split, around: &Surroundings<'_>) -> Result<()> {
        for (index, arm) in split.arms.iter().enumerate() {
            self.ready(&arm.version, around)
                .map_err(|error| error.in_context(format_args!("`split[{index}].version`")))?;
        }
        Ok(())
    }

    /// Refuses to take away what somebody counts on.
    fn check_free(&self, version: &Version, around: &Surroundings<'_>) -> Result<()> {
        let labels = self.turn.labels.iter();
        let label = labels
            .into_iter()
            .find(|(_, labelled)| *labelled == version);
        let arms = around.split.into_iter().flat_map(|split| &split.arms);
        let is_arm = |text: &str| self.resolve(text, around).as_ref() == Some(version);
        let reason = if self.turn.pinned.as_ref() == Some(version) {
            "it is pinned; pin another version, or unpin it".to_owned()
        } else if let Some((label, _)) = label {
            format!("the label `{label}` is on it; move or remove the label")
        } else if arms.into_iter().any(|arm| is_arm(&arm.version)) {
            "the split sends requests to it; change the split".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "version `{version}` of model `{}` cannot be unloaded: {reason}",
            around.model
        )))
    }

    fn no_label(&self, label: &str) -> Error {
        let labels: Vec<_> = self.turn.labels.keys().map(|l| format!("`{l}`")).collect();
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

impl Surroundings<'_> {
    fn check_known(&self, version: &Version) -> Result<()> {
        match self.known.contains(version) {
            true => Ok(()),
            false => Err(self.no_version(version.as_str())),
        }
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

    /// A version wins over a label of the same text, so such a label would do nothing.
    fn check_label(&self, label: &str) -> Result<()> {
        check_traffic_name(label)?;
        let is_version = self.known.iter().any(|version| version.as_str() == label);
        if is_version || VersionSelector::parse(Some(label)) == VersionSelector::Latest {
            return Err(Error::invalid(format!(
                "`{label}` cannot be a label: it means a version already"
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

/// `1=0.9 canary=0.1 by xxh3`.
fn describe(split: &Split) -> String {
    let arms = split.arms.iter();
    let arms: Vec<_> = arms
        .map(|arm| format!("{}={}", arm.version, arm.weight))
        .collect();
    format!("{} by {}", arms.join(" "), split.hash.as_str())
}

#[cfg(test)]
mod tests;
