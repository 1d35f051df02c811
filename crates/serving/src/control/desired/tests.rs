//! Changes one after another, as an operator types them.

use contract::{Arm, AssignmentHash, Fallback, Unit, UnitSource};

use super::*;

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// `1=0.5 canary=0.5`
fn split(text: &str) -> Split {
    let arms = text.split_whitespace().map(|word| {
        let (version, weight) = word.split_once('=').unwrap();
        Arm {
            name: version.to_owned(),
            version: version.to_owned(),
            weight: weight.parse().unwrap(),
        }
    });
    Split {
        arms: arms.collect(),
        unit: Unit {
            source: UnitSource::Random,
            fallback: Fallback::Random,
        },
        hash: AssignmentHash::Xxh3,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    }
}

/// `pin 1`, `label canary 2`, `split 1=0.5 2=0.5`, ...
fn change(text: &str) -> Change {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    match verb {
        "load" => Change::Load(version(rest)),
        "unload" => Change::Unload(version(rest)),
        "pin" => Change::Pin(rest.to_owned()),
        "unpin" => Change::Unpin,
        "label" => {
            let (label, version) = rest.split_once(' ').unwrap();
            Change::Label {
                label: label.to_owned(),
                version: version.to_owned(),
            }
        }
        "unlabel" => Change::Unlabel(rest.to_owned()),
        "split" => Change::Split(split(rest)),
        "unsplit" => Change::Unsplit,
        "back" => Change::RollBack,
        other => panic!("{other}"),
    }
}

/// A model with versions 1, 2 and 3, of which 3 is not ready.
struct Operator {
    desired: DesiredState,
}

impl Operator {
    fn new() -> Self {
        Self {
            desired: DesiredState::default(),
        }
    }

    /// Applies a change; returns its description or the error.
    fn does(&mut self, text: &str) -> String {
        let model = ModelName::new("digits").unwrap();
        let versions = ["1", "2", "3"].map(version);
        let split = match &self.desired.routing.split {
            SplitOverride::Explicit(split) => Some(split.clone()),
            SplitOverride::FromFile | SplitOverride::Disabled => None,
        };
        let context = ValidationContext {
            model: &model,
            known: versions.iter().collect(),
            ready: versions.iter().take(2).collect(),
            split: split.as_ref(),
            default: None,
        };
        match self.desired.after(change(text), &context) {
            Ok(outcome) => {
                self.desired = outcome.desired;
                outcome.what
            }
            Err(error) => format!("{}: {error}", error.code()),
        }
    }

    fn pinned(&self) -> Option<&str> {
        self.desired.routing.pinned.as_ref().map(Version::as_str)
    }
}

#[test]
fn operator_changes_are_applied_or_rejected_with_a_reason() {
    let mut operator = Operator::new();
    let mut shown = String::new();
    for text in [
        "back",
        "pin 1",
        "pin 3",
        "pin 4",
        "label canary 2",
        "label stable 1",
        "label 1 2",
        "label latest 2",
        "label a/b 2",
        "label late 3",
        "pin canary",
        "unlabel beta",
        "split 1=0.5 canary=0.5",
        "split 1=0.5 3=0.5",
        "split 1=0.5 9=0.5",
        "unlabel canary",
        "unload 2",
        "unload 1",
        "load 3",
        "load 4",
        "unsplit",
        "unpin",
        "unload 2",
        "label canary 1",
        "unload 2",
        "load 2",
    ] {
        shown.push_str(&format!("{text}\n    {}\n", operator.does(text)));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn going_back_restores_the_step_before_and_twice_is_where_one_began() {
    let mut operator = Operator::new();
    operator.does("pin 1");
    operator.does("label canary 2");
    operator.does("pin canary");
    operator.does("split 1=0.5 2=0.5");
    operator.does("pin 1");
    operator.does("back");
    assert_eq!(operator.pinned(), Some("2"));
    let split = operator.desired.routing.split.clone();
    assert_ne!(
        split,
        SplitOverride::FromFile,
        "the split was there already"
    );
    operator.does("back");
    assert_eq!(operator.pinned(), Some("1"));
    assert_eq!(operator.desired.routing.split, split);
}

#[test]
fn loading_and_unloading_are_no_step_to_go_back_to() {
    let mut operator = Operator::new();
    operator.does("pin 1");
    operator.does("unload 2");
    operator.does("load 2");
    operator.does("back");
    assert_eq!(operator.pinned(), None);
}

#[test]
fn after_the_files_moved_the_default_one_can_go_back() {
    let mut operator = Operator::new();
    operator.desired = operator.desired.after_default_change(&version("1"));
    assert_eq!(operator.pinned(), None);
    assert_eq!(operator.does("back"), "roll back");
    assert_eq!(operator.pinned(), Some("1"));
}

#[test]
fn versions_in_use_are_required() {
    let mut operator = Operator::new();
    for text in ["label canary 2", "load 3", "pin 1"] {
        operator.does(text);
    }
    let split = split("canary=0.5 4=0.5");
    let required = operator.desired.required(Some(&split));
    assert_eq!(required, ["1", "2", "3", "4"].map(version).into());
    assert_eq!(DesiredState::default().required(None), BTreeSet::new());
}

#[test]
fn every_change_has_a_number_of_its_own() {
    let mut operator = Operator::new();
    for (number, text) in (1..).zip(["pin 1", "pin 1", "load 3", "unsplit"]) {
        operator.does(text);
        assert_eq!(operator.desired.generation, number, "{text}");
    }
}
