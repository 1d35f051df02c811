//! Samples, their resolution and their errors.

use std::num::NonZeroUsize;
use std::path::Path;

use contract::{Concurrency, SessionMode};
use proptest::prelude::*;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/settings/tests")
}

/// The sample files of a folder, by name, with their text.
fn samples(kind: &str) -> Vec<(String, String)> {
    let mut samples: Vec<_> = std::fs::read_dir(folder().join(kind))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect();
    samples.sort();
    samples
}

fn defaults() -> SettingsDefaults {
    SettingsDefaults {
        cores: 4.try_into().unwrap(),
        max_queue_rows: 1000.try_into().unwrap(),
        timeout: None,
        new_versions: contract::NewVersions::Serve,
    }
}

fn read(text: &str) -> Result<ModelSettings, SettingsError> {
    let path = Path::new("models/digits/model.yaml");
    resolve(parse(text, path)?, path, &defaults(), |file| {
        match file.to_str() {
            Some("labels.txt") => Ok("zero\none\r\n".to_owned()),
            _ => Err(SettingsError::Read {
                path: path.with_file_name(file),
                message: "no such file".to_owned(),
            }),
        }
    })
}

#[test]
fn valid_samples_are_decided_as_recorded() {
    for (name, text) in samples("valid") {
        insta::assert_debug_snapshot!(name, read(&text).unwrap());
    }
}

#[test]
fn invalid_samples_are_rejected_with_file_position_and_cause() {
    let mut errors = String::new();
    for (name, text) in samples("invalid") {
        let error = match read(&text) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        errors.push_str(&format!("{name}\n    {error}\n"));
    }
    insta::assert_snapshot!(errors);
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(read(DEFAULT_MODEL_SETTINGS), read(""));
}

#[test]
fn the_settings_of_the_example_models_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models");
    let mut n_files = 0;
    for folder in std::fs::read_dir(examples).unwrap() {
        let path = folder.unwrap().path().join("model.yaml");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let settings = read(&text);
            assert!(settings.is_ok(), "{}: {settings:?}", path.display());
            n_files += 1;
        }
    }
    assert!(n_files > 0, "no example has settings");
}

/// Every key of a serialized `ModelFile`, with dots between the levels.
fn keys(value: &serde_json::Value, prefix: &str, found: &mut Vec<(String, bool)>) {
    let Some(map) = value.as_object() else { return };
    for (key, value) in map {
        let path = format!("{prefix}{key}");
        found.push((path.clone(), value.is_null()));
        keys(value, &format!("{path}."), found);
    }
}

#[test]
fn every_key_is_documented_with_a_value_that_parses() {
    let uncommented: Vec<_> = DEFAULT_MODEL_SETTINGS
        .lines()
        .map(|line| match line.trim_start().strip_prefix('#') {
            // A comment has a space after its sign, a key without default has none.
            Some(key) if !key.starts_with(' ') => line.replacen('#', "", 1),
            _ => line.to_owned(),
        })
        .collect();
    let text = uncommented.join("\n");
    let file = parse(&text, Path::new("default.yaml")).unwrap();
    let value = serde_json::to_value(&file).unwrap();
    let mut found = Vec::new();
    keys(&value, "", &mut found);
    let null: Vec<_> = found
        .iter()
        .filter(|(_, is_null)| *is_null)
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(null, ["image.resize", "image.crop"], "keys without value");
    for key in ["resize: null", "crop: null"] {
        assert!(text.contains(key), "{key}");
    }
}

#[test]
fn only_what_is_written_about_sessions_is_asked_of_the_engine() {
    let count = |n| NonZeroUsize::new(n);
    let cases = [
        ("", None, None, SessionMode::Auto),
        ("threads: 4", None, count(4), SessionMode::Auto),
        ("instances: 2", count(2), None, SessionMode::Auto),
        ("session_mode: auto", None, None, SessionMode::Auto),
        (
            "session_mode: instances",
            None,
            None,
            SessionMode::Instances,
        ),
        ("session_mode: shared", None, None, SessionMode::Shared),
    ];
    let mut wrong = Vec::new();
    for (text, n_sessions, threads, mode) in cases {
        let expected = Concurrency {
            cores: defaults().cores,
            n_sessions,
            threads,
            mode,
        };
        let asked = read(text).unwrap().version_settings.concurrency;
        if asked != expected {
            wrong.push((text, asked));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn a_document_that_grows_without_end_is_refused() {
    let mut text = "a: &a [1, 1]\n".to_owned();
    for (name, previous) in ["b", "c", "d", "e", "f", "g"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        let aliases = vec![format!("*{previous}"); 10].join(", ");
        text.push_str(&format!("{name}: &{name} [{aliases}]\n"));
    }
    assert!(read(&text).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        if let Err(error) = read(&text) {
            prop_assert!(error.to_string().starts_with("`models/digits/model.yaml`: "));
        }
    }

    #[test]
    fn damaged_settings_are_read_or_refused(at in 0_usize..2000, length in 0_usize..40, by in "[-:{}\\[\\]&*!|>'\"# \n\ta0]{0,4}") {
        let everything: Vec<char> = include_str!("tests/valid/everything.yaml").chars().collect();
        let from = at % everything.len();
        let to = (from + length).min(everything.len());
        let head = everything[..from].iter().copied();
        let damaged: String =
            head.chain(by.chars()).chain(everything[to..].iter().copied()).collect();
        if let Err(error) = read(&damaged) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
