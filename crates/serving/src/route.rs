//! Routing: from the name in a request to the version that answers.
//!
//! Decision: a pure function over an immutable table. The table is swapped as a whole, so a request
//! sees one state of the repository and takes no lock.

mod active_split;
mod attribution;
mod bandit;
mod counters;
mod mirror;
mod report;
mod route_match;
mod rules;
mod seen_units;
mod unit_log;

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{
    Arm, AssignmentAttributes, Code, Error, ModelName, Result, Target, Version, VersionSelector,
    VersionState,
};

pub(crate) use active_split::{ActiveArm, ActiveSplit};
pub(crate) use counters::{AssignedUnit, Outcome, RequestFingerprint, is_not_finite};
pub(crate) use mirror::{DropCounters, DropReason, Mirror, MirroredRequest, MirroredResponse};
pub(crate) use route_match::RouteMatch;
pub(crate) use rules::RoutingRules;

use active_split::ArmAssignment;

/// Time in which a small model is loaded; for a large one the client retries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Largest number of names in a message; `GET /models` lists all of them.
const MAX_NAMES: usize = 8;

/// Served models and versions, for routing and for status.
#[derive(Debug)]
pub(crate) struct RoutingTable<T> {
    /// The models by name.
    pub(crate) models: BTreeMap<ModelName, ModelRow<T>>,
}

/// One model.
#[derive(Debug)]
pub(crate) struct ModelRow<T> {
    /// Reason why the model as a whole cannot be served; empty otherwise.
    pub(crate) reason: String,
    /// Set when the server is not ready without this model.
    pub(crate) is_required: bool,
    /// Its versions, ascending.
    pub(crate) versions: Vec<VersionRow<T>>,
    /// Rules that choose between them.
    pub(crate) rules: RoutingRules,
}

/// One version.
#[derive(Debug)]
pub(crate) struct VersionRow<T> {
    /// The version.
    pub(crate) version: Version,
    /// Its state.
    pub(crate) state: VersionState,
    /// Reason for the state.
    pub(crate) reason: String,
    /// Handle of the loaded version; `Some` while the state is ready.
    pub(crate) handle: Option<T>,
    /// The number of loads that failed since it was found, and the error of the last; `None` when
    /// the last one succeeded.
    pub(crate) failed_loads: Option<(u64, String)>,
    /// Set when a rollout lost it while the server ran: until it is ready again, the other arm
    /// answers for it.
    pub(crate) is_lost: bool,
}

impl<T> Default for RoutingTable<T> {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
        }
    }
}

impl<T> VersionRow<T> {
    fn is_loading(&self) -> bool {
        self.handle.is_none() && self.state == VersionState::Loading && !self.is_lost
    }
}

impl<T> ModelRow<T> {
    /// Returns the default version: the one that the rules fix, or the highest that is ready.
    pub(crate) fn latest(&self) -> Option<&T> {
        if let Some(fixed) = self.rules.fixed_default() {
            return self.version(fixed.as_str())?.handle.as_ref();
        }
        let ready = self.versions.iter().rev();
        ready.filter_map(|row| row.handle.as_ref()).next()
    }

    /// Returns the default version, or another arm of the split while it is not available.
    pub(crate) fn answering(&self) -> Option<&T> {
        self.latest().or_else(|| {
            let default = self.version(self.rules.fixed_default()?.as_str());
            let is_awaited = default.is_some_and(VersionRow::is_loading);
            self.ready_arm().filter(|_| !is_awaited)
        })
    }

    /// Returns the first arm of the split that is ready.
    fn ready_arm(&self) -> Option<&T> {
        let mut arms = self.rules.split.iter().flat_map(|on| &on.split().arms);
        arms.find_map(|arm| self.version(&arm.version)?.handle.as_ref())
    }

    /// Returns the row of a version or a label.
    pub(crate) fn version(&self, text: &str) -> Option<&VersionRow<T>> {
        let find = |text: &str| {
            let mut rows = self.versions.iter();
            rows.find(|row| row.version.as_str() == text)
        };
        find(text).or_else(|| find(self.rules.labels.get(text)?.as_str()))
    }

    /// Returns the arms of the split that wait for a version which is being loaded. An arm without
    /// traffic, such as the candidate of a rollout that has just started, waits for none.
    pub(crate) fn loading_arms(&self) -> impl Iterator<Item = &Arm> {
        let arms = self.rules.split.iter().flat_map(|on| &on.split().arms);
        arms.filter(|arm| arm.weight > 0.0).filter(|arm| {
            let row = self.version(&arm.version);
            row.is_some_and(VersionRow::is_loading)
        })
    }

    fn is_changing(&self) -> bool {
        self.versions.iter().any(|row| is_changing(row.state))
    }

    fn ready_versions(&self) -> String {
        let ready = self.versions.iter().filter(|row| row.handle.is_some());
        list(ready.map(|row| row.version.as_str()))
    }

    /// Returns the reasons why no version is ready.
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

impl<T> RoutingTable<T> {
    /// Finds the version for a target by name alone.
    ///
    /// # Errors
    /// As `Infer::route` lists them.
    pub(crate) fn find(&self, target: &Target) -> Result<&T> {
        let (name, model) = self.row(target)?;
        find_named(name, model, &target.version)
    }

    /// Finds the version that answers every request with this target, independent of the caller and
    /// the body; `None` when that is not certain.
    pub(crate) fn find_unambiguous(&self, target: &Target) -> Option<&T> {
        let (name, model) = self.row(target).ok()?;
        let is_alone = model.versions.len() == 1 && model.rules.split.is_none();
        match (&target.version, is_alone) {
            (VersionSelector::Latest, false) => None,
            (VersionSelector::Latest, true) | (VersionSelector::Named(_), _) => {
                find_named(name, model, &target.version).ok()
            }
        }
    }

    /// Finds the version for the request of a caller. A split applies when the target names no
    /// version.
    ///
    /// # Errors
    /// As `Infer::route_for` lists them.
    pub(crate) fn find_for(
        &self,
        target: &Target,
        attributes: &dyn AssignmentAttributes,
        draw: impl FnOnce() -> u64,
    ) -> Result<RouteMatch<'_, T>> {
        let (name, model) = self.row(target)?;
        let (VersionSelector::Latest, Some(split)) = (&target.version, &model.rules.split) else {
            let handle = find_named(name, model, &target.version)?;
            return Ok(RouteMatch::without_arm(handle));
        };
        let mirror = model.rules.mirror.as_ref();
        let latest = || find_named(name, model, &VersionSelector::Latest);
        match split.assign(attributes, draw)? {
            ArmAssignment::Assigned {
                arm,
                active_arm,
                unit,
                propensity,
            } => {
                let found = find_arm(name, model, arm)?;
                Ok(RouteMatch {
                    handle: found.map_or_else(latest, Ok)?,
                    arm: Some(&active_arm.name),
                    propensity,
                    // Whichever version answers, or a missing version would bias the comparison. A
                    // bandit learns about versions, not about assignments.
                    counted_arm: Some(active_arm)
                        .filter(|_| found.is_some() || propensity.is_none()),
                    unit,
                    mirror: mirror.filter(|_| found.is_some()),
                })
            }
            ArmAssignment::Forced(arm, active_arm) => Ok(RouteMatch {
                handle: find_version(name, model, &arm.version)?,
                arm: Some(&active_arm.name),
                propensity: None,
                counted_arm: None,
                unit: None,
                mirror: None,
            }),
            ArmAssignment::Excluded => Ok(RouteMatch {
                mirror,
                ..RouteMatch::without_arm(latest()?)
            }),
        }
    }

    fn row<'t, 'a: 't>(&'a self, target: &'t Target) -> Result<(&'t ModelName, &'a ModelRow<T>)> {
        match &target.model {
            Some(name) => Ok((name, self.model(name)?)),
            None => self.only_model(),
        }
    }

    /// Returns the row of a model.
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

fn find_named<'a, T>(
    name: &ModelName,
    model: &'a ModelRow<T>,
    version: &VersionSelector,
) -> Result<&'a T> {
    if let VersionSelector::Named(version) = version {
        return find_version(name, model, version);
    }
    match (model.answering(), model.rules.fixed_default()) {
        (Some(handle), _) => Ok(handle),
        (None, Some(fixed)) => find_version(name, model, fixed.as_str()),
        (None, None) => Err(no_version(name, model)),
    }
}

/// Finds the version of an arm; `None` when it is not available, which is no reason to fail the
/// caller. One that is being loaded is an error, or a restart would move units between arms.
fn find_arm<'a, T>(name: &ModelName, model: &'a ModelRow<T>, arm: &Arm) -> Result<Option<&'a T>> {
    match model.version(&arm.version) {
        Some(row) if row.is_loading() => find_version(name, model, &arm.version).map(Some),
        Some(row) => Ok(row.handle.as_ref()),
        None => Ok(None),
    }
}

fn find_version<'a, T>(name: &ModelName, model: &'a ModelRow<T>, version: &str) -> Result<&'a T> {
    let Some(row) = model.version(version) else {
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

/// Lists names in backticks, or `none`.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
