//! Plans of files, as tables.

use super::*;

const FILE: &str = "rollout: {id: digits-2, candidate: 2}";

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// A model whose version 1 answers, whose version 2 waits, and whose file names it.
struct Model {
    text: &'static str,
    started: StartedFiles,
    running: Option<&'static str>,
    default: &'static str,
    ready: &'static [&'static str],
    has_waiting_versions: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            text: FILE,
            started: StartedFiles::default(),
            running: None,
            default: "1",
            ready: &["1", "2"],
            has_waiting_versions: true,
        }
    }
}

impl Model {
    fn plan(&self) -> FilePlan {
        let running = self.running.map(|candidate| ActiveRollout {
            id: "digits-2".to_owned(),
            candidate: version(candidate),
        });
        let ready: Vec<_> = self.ready.iter().map(|text| version(text)).collect();
        FileSituation {
            model: &ModelName::new("digits").unwrap(),
            text: self.text,
            started: Some(&self.started),
            running: running.as_ref(),
            default: Some(&version(self.default)),
            ready: &ready,
            has_waiting_versions: self.has_waiting_versions,
        }
        .plan()
    }

    /// The same model after this file has started its rollout.
    fn after_start_of(text: &'static str) -> Self {
        let mut started = StartedFiles::default();
        let key = FileKey::new(text, &version("2"));
        started.add(Some("digits-2".to_owned()), key);
        Self {
            started,
            ..Self::default()
        }
    }
}

fn candidate_of(plan: &FilePlan) -> Option<String> {
    let FilePlan::Start(_, text) = plan else {
        return None;
    };
    let config = RolloutConfig::parse(text).unwrap();
    Some(format!("{} against {}", config.candidate, config.stable))
}

#[test]
fn a_file_starts_when_its_candidate_is_ready() {
    let waiting = Model {
        ready: &["1"],
        ..Model::default()
    };
    let expected = "waits for version `2`, which is not ready";
    assert_eq!(waiting.plan(), FilePlan::Warn(expected.to_owned()));
    let started = candidate_of(&Model::default().plan());
    assert_eq!(started.as_deref(), Some("2 against 1"));
}

#[test]
fn a_file_without_a_candidate_starts_for_each_version_above_the_one_that_answers() {
    let text = "rollout: {steps: [5, 50]}";
    for (default, ready, expected) in [
        ("1", &["1", "2", "3"][..], Some("3 against 1")),
        ("2", &["1", "2"], None),
        ("3", &["2", "3"], None),
        ("2", &["2", "10"], Some("10 against 2")),
    ] {
        let model = Model {
            text,
            default,
            ready,
            ..Model::default()
        };
        let plan = model.plan();
        assert_eq!(candidate_of(&plan).as_deref(), expected, "{plan:?}");
        assert!(expected.is_some() || plan == FilePlan::Nothing, "{plan:?}");
    }
}

#[test]
fn the_same_file_starts_once_and_a_changed_one_after_the_end_again() {
    let ended = Model::after_start_of(FILE);
    assert_eq!(ended.plan(), FilePlan::Nothing);
    let changed = Model {
        text: "rollout: {id: digits-2, candidate: 2, steps: [1]}",
        ..ended
    };
    assert!(candidate_of(&changed.plan()).is_some());
}

#[test]
fn a_change_while_the_rollout_runs_has_no_effect_then_and_later() {
    let running = Model {
        running: Some("2"),
        ..Model::after_start_of(FILE)
    };
    assert_eq!(running.plan(), FilePlan::Nothing);
    let mut changed = Model {
        text: "rollout: {id: digits-2, candidate: 2, steps: [1]}",
        ..running
    };
    let FilePlan::Ignore(key, warning) = changed.plan() else {
        panic!("{:?}", changed.plan());
    };
    assert!(
        warning.contains("no effect on rollout `digits-2`"),
        "{warning}"
    );
    changed.started.add(None, key);
    changed.running = None;
    assert_eq!(changed.plan(), FilePlan::Nothing);
}

#[test]
fn a_file_for_another_candidate_waits_for_the_end_of_the_rollout() {
    let mut next = Model {
        text: "rollout: {candidate: 3}",
        ready: &["1", "2", "3"],
        running: Some("2"),
        ..Model::after_start_of(FILE)
    };
    let expected = "waits for the end of rollout `digits-2`";
    assert_eq!(next.plan(), FilePlan::Warn(expected.to_owned()));
    (next.running, next.default) = (None, "2");
    let started = candidate_of(&next.plan());
    assert_eq!(started.as_deref(), Some("3 against 2"));
}

#[test]
fn mistakes_are_warnings_with_the_path_of_the_key() {
    for (text, expected) in [
        ("rollout: {stepz: [5]}", "is invalid: `rollout.stepz`"),
        (
            "rollout: {candidate: 2, steps: [200]}",
            "is invalid: `rollout.steps[0]`",
        ),
        (
            "rollout: {candidate: 2, model: m}",
            "is invalid: `rollout.model`: expected `digits`",
        ),
        (
            "rollout: {candidate: latest}",
            "is invalid: `rollout.candidate`",
        ),
        (
            "rollout: {candidate: 1}",
            "has no effect: version `1` answers all requests",
        ),
    ] {
        let model = Model {
            text,
            ..Model::default()
        };
        let FilePlan::Warn(warning) = model.plan() else {
            panic!("{text}: {:?}", model.plan());
        };
        assert!(warning.starts_with(expected), "{text}: {warning}");
    }
}

#[test]
fn models_whose_new_versions_answer_at_once_get_advice() {
    for text in ["rollout: {steps: [5]}", "rollout: {candidate: 2}"] {
        let model = Model {
            text,
            default: "2",
            has_waiting_versions: false,
            ..Model::default()
        };
        let FilePlan::Warn(warning) = model.plan() else {
            panic!("{text}: {:?}", model.plan());
        };
        assert!(warning.contains("set `new_versions: wait`"), "{warning}");
    }
}
