//! Readiness: decides whether the server accepts traffic.
//!
//! Rule: every model that was found first serves a version that is not stuck, and no shutdown has
//! begun. A model that is added later never takes the readiness away, and one that was unloaded or
//! deleted is no longer waited for. Cold start: without any model the server is not ready.

use contract::Readiness;

use crate::control::root_problems::RootProblems;
use crate::route::RoutingTable;

/// Decides from the routing table and the roots. `stuck` returns why a version can run nothing for
/// now, if so.
pub(crate) fn readiness<T>(
    table: &RoutingTable<T>,
    roots: &RootProblems,
    is_shutting_down: bool,
    stuck: impl Fn(&T) -> Option<String>,
) -> Readiness {
    if is_shutting_down {
        return Readiness {
            is_ready: false,
            reason: "the server is shutting down".to_owned(),
            warnings: Vec::new(),
        };
    }
    let mut reasons: Vec<_> = roots.reasons.iter().cloned().collect();
    for (name, model) in &table.models {
        let problem = match model.answering() {
            None => Some(model.reasons()),
            Some(answering) => stuck(answering),
        };
        if let Some(problem) = problem.filter(|_| model.is_required) {
            reasons.push(format!("model `{name}`: {problem}"));
        }
        for arm in model.loading_arms() {
            let version = &arm.version;
            reasons.push(format!(
                "model `{name}`: `{version}` of its split is being loaded"
            ));
        }
    }
    Readiness {
        is_ready: reasons.is_empty(),
        reason: reasons.join("; "),
        warnings: roots.warnings.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use contract::{ModelName, Version, VersionState};

    use super::*;
    use crate::route::{ModelRow, RoutingRules, VersionRow};

    fn model(is_required: bool, reason: &str, states: &[VersionState]) -> ModelRow<()> {
        let versions = (1..).zip(states).map(|(version, &state)| VersionRow {
            version: Version::new(&format!("{version}")).unwrap(),
            state,
            reason: format!("it is {}", state.as_str()),
            handle: (state == VersionState::Ready).then_some(()),
            failed_loads: None,
            is_lost: false,
        });
        ModelRow {
            reason: reason.to_owned(),
            is_required,
            versions: versions.collect(),
            rules: RoutingRules::default(),
        }
    }

    fn ready(models: Vec<ModelRow<()>>, roots: &RootProblems, is_shutting_down: bool) -> Readiness {
        let names = (0..).map(|n| ModelName::new(&format!("m{n}")).unwrap());
        let table = RoutingTable {
            models: names.zip(models).collect(),
        };
        readiness(&table, roots, is_shutting_down, |()| None)
    }

    /// The promise, the models, whether the server shuts down, and why it is not ready.
    type Case = (&'static str, Vec<ModelRow<()>>, bool, &'static str);

    fn cases() -> Vec<Case> {
        use VersionState::{Loading, Ready, Unavailable};
        vec![
            ("every model was unloaded and deleted", vec![], false, ""),
            ("one serves", vec![model(true, "", &[Ready])], false, ""),
            (
                "a version failed",
                vec![model(true, "", &[Ready, Unavailable])],
                false,
                "",
            ),
            (
                "a version loads",
                vec![model(true, "", &[Ready, Loading])],
                false,
                "",
            ),
            (
                "a later one loads",
                vec![model(false, "", &[Loading])],
                false,
                "",
            ),
            (
                "a later one failed",
                vec![model(false, "", &[Unavailable])],
                false,
                "",
            ),
            (
                "the first loads",
                vec![model(true, "", &[Loading])],
                false,
                "model `m0`: version `1`: it is LOADING",
            ),
            (
                "one of two failed",
                vec![
                    model(true, "", &[Ready]),
                    model(true, "broken", &[Unavailable]),
                ],
                false,
                "model `m1`: broken",
            ),
            (
                "no versions",
                vec![model(true, "", &[])],
                false,
                "model `m0`: it has no versions",
            ),
            ("shutting down", vec![], true, "the server is shutting down"),
        ]
    }

    #[test]
    fn the_server_is_ready_when_every_required_model_serves() {
        let mut failures = Vec::new();
        for (promise, models, is_shutting_down, expected) in cases() {
            let got = ready(models, &RootProblems::default(), is_shutting_down);
            if got.reason != expected || got.is_ready != expected.is_empty() {
                failures.push(format!("{promise}: {got:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn a_lost_root_is_a_warning_and_no_model_at_all_takes_the_readiness() {
        use VersionState::Ready;
        let warning = RootProblems {
            warnings: ["b is lost".to_owned()].into(),
            ..RootProblems::default()
        };
        let got = ready(vec![model(true, "", &[Ready])], &warning, false);
        assert_eq!(
            (got.is_ready, got.warnings.join("")),
            (true, "b is lost".to_owned())
        );
        let empty = RootProblems {
            reasons: ["a is empty".to_owned()].into(),
            ..RootProblems::default()
        };
        let got = ready(vec![model(true, "", &[Ready])], &empty, false);
        assert_eq!((got.is_ready, &*got.reason), (false, "a is empty"));
    }

    #[test]
    fn a_required_model_that_is_stuck_is_not_ready() {
        use VersionState::Ready;
        let names = ["m", "n"].map(|name| ModelName::new(name).unwrap());
        let models = [model(true, "", &[Ready]), model(false, "", &[Ready])];
        let table = RoutingTable {
            models: names.into_iter().zip(models).collect(),
        };
        let roots = RootProblems::default();
        let got = readiness(&table, &roots, false, |()| Some("it is stuck".to_owned()));
        assert_eq!(
            (got.is_ready, &*got.reason),
            (false, "model `m`: it is stuck")
        );
    }
}
