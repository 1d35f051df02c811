//! The ready versions, with their names in the document.
//!
//! Rule of names: a component may have only letters, digits, dots, dashes and underscores, so every
//! other character of a model or version becomes an underscore, and a number is added to a name
//! that is taken already. Paths are percent-encoded instead, which keeps them distinct.

use std::collections::HashSet;

use contract::ModelInfo;

use super::super::ReadyVersion;

/// One version that is served.
pub(super) struct Model<'a> {
    /// The model info.
    pub(super) info: &'a ModelInfo,
    /// Is true when it answers requests without a version.
    pub(super) is_latest: bool,
    /// The prefix of the names of its components and operations.
    prefix: String,
}

impl<'a> Model<'a> {
    /// Returns all versions, from a list in the order of models and versions.
    pub(super) fn all(ready: &'a [ReadyVersion]) -> Vec<Self> {
        let mut taken = HashSet::new();
        ready
            .iter()
            .map(|ReadyVersion { info, is_latest }| Self {
                info,
                is_latest: *is_latest,
                prefix: free_name(&mut taken, &format!("{}.{}", info.model, info.version)),
            })
            .collect()
    }

    /// Returns the name of one of its components or operations.
    pub(super) fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    /// Returns the group that its operations are shown in.
    pub(super) fn tag(&self) -> String {
        tag(self.info)
    }

    /// Returns its paths, as `(part of an operation id, path)`: the one with its version, and the
    /// one without when it is the latest.
    pub(super) fn paths(&self, before: &str, after: &str) -> Vec<(&'static str, String)> {
        let model = path_segment(self.info.model.as_str());
        let version = path_segment(self.info.version.as_str());
        let exact = format!("{before}/models/{model}/versions/{version}/{after}");
        let latest = format!("{before}/models/{model}/{after}");
        let mut paths = vec![("", exact)];
        if self.is_latest {
            paths.insert(0, (".latest", latest));
        }
        paths
    }
}

/// Returns the group of the operations of a model.
pub(super) fn tag(info: &ModelInfo) -> String {
    format!("Model {}", info.model)
}

fn free_name(taken: &mut HashSet<String>, preferred: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let base: String = preferred
        .chars()
        .map(|c| if is_allowed(c) { c } else { '_' })
        .collect();
    let mut name = base.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{base}_{number}");
        number += 1;
    }
    name
}

/// Percent-encodes a name. Names have no white space, so the form encoding of URLs is the same.
fn path_segment(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}
