//! The default version: the one that answers requests that name none, while none is pinned.
//!
//! Inputs: the setting `new_versions`, the version that answered by default before, and the
//! versions of the model.
//! Rule: where new versions are served, the highest that is ready answers. Where they wait, the
//! version that answered before goes on, also while it is loaded again after a restart. When it is
//! not available, the next lower version stands in, which is older; only when there is none, the
//! next higher one, because a waiting version is better than no answer. A version that is gone for
//! good is replaced by its stand-in; one that failed to load takes over again once it is ready.
//! Cold start: with no version before, the highest that is ready answers, and it is recorded once
//! no higher one is being loaded.
//! Rejected: a set of waiting versions. It would have to be kept complete over restarts, during
//! which versions are added and removed; the one version that answers is known at any time.

use std::collections::BTreeMap;

use contract::{NewVersions, Version};

/// Availability of a version for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is ready.
    Ready,
    /// It is being loaded, or will be.
    Loading,
    /// It failed to load.
    Failed,
}

/// The choice of a default version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DefaultVersion {
    /// The version that answers, ready or not; `None` when none can.
    pub(crate) answering: Option<Version>,
    /// The version to record as the one that answered.
    pub(crate) recorded: Option<Version>,
}

/// Chooses the default version. `recorded` is the one that answered before.
pub(crate) fn default_version(
    new_versions: NewVersions,
    recorded: Option<&Version>,
    versions: &BTreeMap<&Version, Availability>,
) -> DefaultVersion {
    let highest = || {
        let mut ready = versions.iter().rev();
        ready.find_map(|(version, state)| (*state == Availability::Ready).then_some(*version))
    };
    let (answering, recorded) = match (new_versions, recorded) {
        (NewVersions::Serve, recorded) => (highest(), highest().or(recorded)),
        (NewVersions::Wait, None) => {
            let answering = highest();
            let is_settled = answering.is_some_and(|version| !is_loading_above(version, versions));
            (answering, answering.filter(|_| is_settled))
        }
        (NewVersions::Wait, Some(recorded)) => match versions.get(recorded) {
            Some(Availability::Ready | Availability::Loading) => (Some(recorded), Some(recorded)),
            Some(Availability::Failed) => (stand_in(recorded, versions), Some(recorded)),
            None => {
                let stand_in = stand_in(recorded, versions);
                (stand_in, stand_in.or(Some(recorded)))
            }
        },
    };
    DefaultVersion {
        answering: answering.cloned(),
        recorded: recorded.cloned(),
    }
}

fn is_loading_above(version: &Version, versions: &BTreeMap<&Version, Availability>) -> bool {
    let mut above = versions.iter().filter(|(other, _)| **other > version);
    above.any(|(_, state)| *state == Availability::Loading)
}

/// Returns the version that answers in place of one that is not available.
fn stand_in<'a>(
    version: &Version,
    versions: &BTreeMap<&'a Version, Availability>,
) -> Option<&'a Version> {
    let usable = versions
        .iter()
        .filter(|(_, state)| **state != Availability::Failed)
        .map(|(version, _)| *version);
    let lower = usable.clone().rfind(|other| *other < version);
    lower.or_else(|| usable.clone().find(|other| *other > version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::new(text).unwrap()
    }

    /// `1 2:loading 3:failed`; a version without a word is ready.
    fn versions(text: &str) -> BTreeMap<Version, Availability> {
        let words = text.split_whitespace().map(|word| {
            let (number, state) = word.split_once(':').unwrap_or((word, "ready"));
            let state = match state {
                "ready" => Availability::Ready,
                "loading" => Availability::Loading,
                "failed" => Availability::Failed,
                other => panic!("{other}"),
            };
            (version(number), state)
        });
        words.collect()
    }

    /// The promise, the setting, the version before, the versions, and the versions that answers and
    /// is recorded.
    const CASES: &str = "
        the highest that is ready answers                | serve |   | 1 2         | 2 2
        a higher one is not waited for                   | serve | 1 | 1 2:loading | 1 1
        a new version takes over                         | serve | 1 | 1 2         | 2 2
        a model without a ready version keeps the record | serve | 2 |             | - 2
        the only version answers                         | wait  |   | 1           | 1 1
        at the first start the highest version answers   | wait  |   | 1 2         | 2 2
        at the first start a lower one answers meanwhile | wait  |   | 1 2:loading | 1 -
        at the first start no failed one is waited for   | wait  |   | 1 2:failed  | 1 1
        nothing is ready yet                             | wait  |   | 1:loading   | - -
        a new version waits                              | wait  | 1 | 1 2         | 1 1
        after a restart the one before is waited for     | wait  | 1 | 1:loading 2 | 1 1
        a promoted version stays when a lower is added   | wait  | 2 | 1 2         | 2 2
        a removed version is replaced by the lower one   | wait  | 2 | 1 3         | 1 1
        the next lower one stands in for a removed one   | wait  | 3 | 1 2 4       | 2 2
        a stand-in that is being loaded is waited for    | wait  | 2 | 1:loading 3 | 1 1
        without a lower one the next higher stands in    | wait  | 1 | 2 3         | 2 2
        a version that failed is replaced for now        | wait  | 2 | 1 2:failed 3 | 1 2
        a failed version is no stand-in                  | wait  | 2 | 1:failed 3  | 3 3
        a model without versions keeps the record        | wait  | 2 |             | - 2
    ";

    #[test]
    fn default_version_follows_from_setting_and_versions() {
        let text = |version: Option<Version>| version.map_or("-".to_owned(), |v| v.to_string());
        let mut failures = Vec::new();
        for line in CASES.trim().lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [promise, setting, before, state, expected] = cells[..] else {
                panic!("{line}");
            };
            let mut words = NewVersions::ALL.into_iter();
            let setting = words.find(|word| word.as_str() == setting).unwrap();
            let before = (!before.is_empty()).then(|| version(before));
            let owned = versions(state);
            let borrowed = owned.iter().map(|(version, state)| (version, *state));
            let got = default_version(setting, before.as_ref(), &borrowed.collect());
            let got = format!("{} {}", text(got.answering), text(got.recorded));
            if got != expected {
                failures.push(format!("{promise}: {got} is not {expected}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
