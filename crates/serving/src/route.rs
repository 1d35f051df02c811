//! Routing: from the name in a request to the version that answers.
//!
//! Decision: a pure function over an immutable table. The table is swapped whole, so a request sees
//! one state of the repository and takes no lock.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Code, Error, ModelName, Result, Target, VersionSelector, VersionState};

/// Loading a small model takes about this long; for a large one the client asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// More names than this make a sentence hard to read; `GET /models` lists them all.
const MAX_NAMES: usize = 8;

/// What is served, for routing and for status.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The models by name.
    pub(crate) models: BTreeMap<ModelName, ModelRow<T>>,
}

/// One model.
#[derive(Debug)]
pub(crate) struct ModelRow<T> {
    /// Why the model as a whole cannot be served; empty otherwise.
    pub(crate) reason: String,
    /// Whether the server is not ready without it.
    pub(crate) is_required: bool,
    /// Its versions, ascending.
    pub(crate) versions: Vec<VersionRow<T>>,
}

/// One version.
#[derive(Debug)]
pub(crate) struct VersionRow<T> {
    /// The version.
    pub(crate) version: contract::Version,
    /// Where it stands.
    pub(crate) state: VersionState,
    /// Why.
    pub(crate) reason: String,
    /// What answers; there while the state is ready.
    pub(crate) handle: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
        }
    }
}

impl<T> ModelRow<T> {
    /// The highest version that is ready.
    pub(crate) fn latest(&self) -> Option<&T> {
        let ready = self.versions.iter().rev();
        ready.filter_map(|row| row.handle.as_ref()).next()
    }

    fn is_changing(&self) -> bool {
        self.versions.iter().any(|row| is_changing(row.state))
    }

    fn ready_versions(&self) -> String {
        let ready = self.versions.iter().filter(|row| row.handle.is_some());
        list(ready.map(|row| row.version.as_str()))
    }

    /// Why no version is ready.
    pub(crate) fn reasons(&self) -> String {
        if !self.reason.is_empty() {
            return self.reason.clone();
        }
        let rows = self.versions.iter().filter(|row| !row.reason.is_empty());
        let reasons: Vec<_> = rows
            .map(|row| format!("version `{}`: {}", row.version, row.reason))
            .collect();
        match reasons.is_empty() {
            true => "it has no versions".to_owned(),
            false => reasons.join("; "),
        }
    }
}

impl<T> Table<T> {
    /// What answers a target.
    ///
    /// # Errors
    /// As `Infer::route` lists them.
    pub(crate) fn find(&self, target: &Target) -> Result<&T> {
        let (name, model) = match &target.model {
            Some(name) => (name, self.model(name)?),
            None => self.only_model()?,
        };
        match &target.version {
            VersionSelector::Latest => model.latest().ok_or_else(|| no_version(name, model)),
            VersionSelector::Named(version) => find_version(name, model, version),
        }
    }

    /// The row of a model.
    ///
    /// # Errors
    /// `model_not_found`.
    pub(crate) fn model(&self, name: &ModelName) -> Result<&ModelRow<T>> {
        self.models
            .get(name)
            .ok_or_else(|| self.unknown_model(name))
    }

    fn unknown_model(&self, name: &ModelName) -> Error {
        let known = match self.models.len() {
            0 => "no model is served".to_owned(),
            1..=MAX_NAMES => format!("models: {}", self.names()),
            _ => "see `GET /models`".to_owned(),
        };
        Error::new(
            Code::ModelNotFound,
            format!("Request for unknown model: '{name}' is not found; {known}"),
        )
    }

    fn only_model(&self) -> Result<(&ModelName, &ModelRow<T>)> {
        let mut models = self.models.iter();
        match (models.next(), models.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Error::new(Code::ModelNotFound, "no model is served")),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "the request names no model and several are served; set `model` to one of {}",
                self.names()
            ))),
        }
    }

    fn names(&self) -> String {
        let names = list(self.models.keys().take(MAX_NAMES).map(ModelName::as_str));
        match self.models.len() > MAX_NAMES {
            true => format!("{names}, and more, see `GET /models`"),
            false => names,
        }
    }
}

fn is_changing(state: VersionState) -> bool {
    match state {
        VersionState::Loading | VersionState::Unloading => true,
        VersionState::Ready | VersionState::Unavailable => false,
    }
}

fn find_version<'a, T>(name: &ModelName, model: &'a ModelRow<T>, version: &str) -> Result<&'a T> {
    let rows = &model.versions;
    let Some(row) = rows.iter().find(|row| row.version.as_str() == version) else {
        let ready = model.ready_versions();
        return Err(Error::new(
            Code::VersionNotFound,
            format!(
                "Request for unknown model: '{name}' version '{version}' is not found; \
                 ready versions: {ready}"
            ),
        ));
    };
    if let Some(handle) = &row.handle {
        return Ok(handle);
    }
    match is_changing(row.state) {
        true => Err(not_ready(format!(
            "Request for model '{name}' version '{version}' is not at ready state: {}",
            row.reason
        ))),
        false => Err(Error::new(
            Code::VersionNotFound,
            format!(
                "Request for unknown model: '{name}' version '{version}' is not available: {}; \
                 ready versions: {}",
                row.reason,
                model.ready_versions()
            ),
        )),
    }
}

fn no_version<T>(name: &ModelName, model: &ModelRow<T>) -> Error {
    let reasons = model.reasons();
    match model.is_changing() {
        true => not_ready(format!(
            "Request for model '{name}' is not at ready state: {reasons}"
        )),
        false => Error::new(
            Code::VersionNotFound,
            format!("Request for unknown model: '{name}' has no available versions: {reasons}"),
        ),
    }
}

fn not_ready(message: String) -> Error {
    Error::new(Code::ModelNotReady, message).with_retry_after(RETRY_AFTER)
}

/// Names in backticks, or `none`.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
