//! Plans as tables: a scan and the progress of a model, on one line each.

use std::path::Path;
use std::sync::Arc;

use contract::Code;

use super::*;
use crate::catalog::layout::{Fingerprint, FoundVersion};
use crate::catalog::settings::{ModelFile, SettingsDefaults, parse, resolve};

const DEBOUNCE: Duration = Duration::from_secs(1);

const REMOVAL_DELAY: Duration = Duration::from_secs(10);

fn settings(text: &str) -> ModelSettings {
    let path = Path::new("m/model.yaml");
    let file = match text {
        "" => ModelFile::default(),
        text => parse(text, path).unwrap(),
    };
    let defaults = SettingsDefaults {
        cores: 1.try_into().unwrap(),
        max_queue_rows: 10.try_into().unwrap(),
        timeout: None,
        new_versions: contract::NewVersions::Serve,
    };
    resolve(file, path, &defaults, |_| unreachable!()).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// `1=7 2=9` are version 1 with fingerprint 7 and version 2 with fingerprint 9.
fn pairs(text: &str) -> Vec<(Version, u64)> {
    text.split_whitespace()
        .map(|word| {
            let (name, fingerprint) = word.split_once('=').unwrap();
            (version(name), fingerprint.parse().unwrap())
        })
        .collect()
}

fn found(versions: &str, text: &str) -> FoundModel {
    let versions = pairs(versions).into_iter().map(|(version, fingerprint)| {
        let found = FoundVersion {
            path: Path::new("m").join(version.as_str()),
            artifacts: Vec::new(),
            fingerprint: Fingerprint::of(fingerprint),
            age: Duration::from_secs(10),
        };
        (version, found)
    });
    FoundModel {
        rollout_file: None,
        path: "m".into(),
        settings: match text {
            "broken" => Err("the settings are broken".to_owned()),
            text => Ok(Arc::new(settings(text))),
        },
        versions: versions.collect(),
    }
}

fn artifact(version: &Version, fingerprint: u64, text: &str) -> VersionArtifact {
    let found = found(&format!("{version}={fingerprint}"), text);
    VersionArtifact::new(&found.versions[version], &settings(text))
}

/// `1=7 loading:2=9 failed:3=5 seen:4=1 missing` with the settings that were used.
fn progress(text: &str, settings: &str, now: Instant, seen_for: Duration) -> ModelProgress {
    let mut progress = ModelProgress::default();
    for word in text.split_whitespace() {
        if word == "unloaded" {
            progress.is_unloaded = true;
            continue;
        }
        if word == "missing" {
            progress.missing_since = now.checked_sub(seen_for);
            continue;
        }
        let (kind, pair) = word.split_once(':').unwrap_or(("serving", word));
        let (version, fingerprint) = pairs(pair).remove(0);
        let artifact = artifact(&version, fingerprint, settings);
        let record = progress.versions.entry(version).or_default();
        match kind {
            "serving" => record.serving = Some(artifact),
            "loading" => record.loading = Some(artifact),
            "failed" => record.failed = Some((artifact, Error::new(Code::EngineFailed, "bad"))),
            "seen" => record.seen = Some((artifact, now.checked_sub(seen_for).unwrap())),
            other => panic!("{other}"),
        }
    }
    progress
}

fn show(plan: &Plan) -> String {
    let actions = plan.actions.iter().map(|action| match action {
        Action::Load(version, _) => format!("load {version}"),
        Action::Debounce(version, _) => format!("debounce {version}"),
        Action::ClearFailure(version) => format!("clear failure of {version}"),
        Action::Retire(version) => format!("retire {version}"),
    });
    let idle = plan.idle.keys().map(|version| format!("idle {version}"));
    let missing = plan.is_missing.then(|| "missing".to_owned());
    let reason = (!plan.reason.is_empty()).then(|| "reason".to_owned());
    actions
        .chain(idle)
        .chain(missing)
        .chain(reason)
        .collect::<Vec<_>>()
        .join(", ")
}

struct Case {
    promise: &'static str,
    found: Option<(&'static str, &'static str)>,
    progress: &'static str,
    seen_for: Duration,
    plan: &'static str,
}

fn check(cases: &[Case], is_first_scan: bool, debounce: Duration) {
    let now = tokio::time::Instant::now().into_std() + Duration::from_secs(3600);
    let timing = Timing {
        now,
        debounce,
        removal_delay: REMOVAL_DELAY,
        is_first_scan,
    };
    let mut failures = Vec::new();
    for case in cases {
        let text = case.found.map_or("", |(_, text)| text);
        let used = if text == "broken" { "" } else { text };
        let progress = progress(case.progress, used, now, case.seen_for);
        let found = case.found.map(|(versions, text)| found(versions, text));
        let got = show(&plan(found.as_ref(), &progress, &timing));
        if got != case.plan {
            failures.push(format!("{}: {got:?} is not {:?}", case.promise, case.plan));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

macro_rules! cases {
    ($($promise:literal: $found:expr, $progress:literal, $seen_for:expr => $plan:literal;)*) => {
        [$(Case {
            promise: $promise,
            found: $found,
            progress: $progress,
            seen_for: $seen_for,
            plan: $plan,
        }),*]
    };
}

#[test]
fn plan_follows_from_scan_and_progress() {
    let none = Duration::ZERO;
    let cases = cases! {
        "a new version settles first": Some(("1=7", "")), "", none => "debounce 1";
        "it is not loaded before its time": Some(("1=7", "")), "seen:1=7", DEBOUNCE / 2 => "";
        "it is loaded when it has settled": Some(("1=7", "")), "seen:1=7", DEBOUNCE => "load 1";
        "a change starts the time again":
            Some(("1=8", "")), "seen:1=7", DEBOUNCE => "debounce 1";
        "a version that is loading is left alone": Some(("1=7", "")), "loading:1=7", none => "";
        "a change while loading waits": Some(("1=8", "")), "loading:1=7", none => "debounce 1";
        "and goes on waiting": Some(("1=8", "")), "loading:1=7 seen:1=8", DEBOUNCE => "";
        "what serves unchanged is left alone": Some(("1=7", "")), "1=7", none => "";
        "what serves and changed is loaded again":
            Some(("1=8", "")), "1=7 seen:1=8", DEBOUNCE => "load 1";
        "what failed is not tried again": Some(("1=7", "")), "failed:1=7", none => "";
        "what failed is tried again when it changes":
            Some(("1=8", "")), "failed:1=7 seen:1=8", DEBOUNCE => "load 1";
        "a failed reload leaves the old one": Some(("1=8", "")), "1=7 failed:1=8", none => "";
        "going back forgives the failure":
            Some(("1=7", "")), "1=7 failed:1=8", none => "clear failure of 1";
        "a version that is gone is retired": Some(("2=9", "")), "1=7 2=9", none => "retire 1";
        "so is one that is still loading":
            Some(("2=9", "")), "loading:1=7 2=9", none => "retire 1";
        "an unloaded model is retired and stays so":
            Some(("1=7", "")), "unloaded 1=7", DEBOUNCE => "retire 1, idle 1, reason";
        "an unloaded model that is gone is retired too": None, "unloaded 1=7", none => "retire 1";
        "broken settings change nothing":
            Some(("2=9", "broken")), "1=7", DEBOUNCE => "idle 2, reason";
        "every version is served by default":
            Some(("1=7 2=9", "")), "seen:1=7 seen:2=9", DEBOUNCE => "load 2, load 1";
        "the latest are taken by number":
            Some(("9=1 10=1 8=1", "versions: {latest: 2}")), "", none
            => "debounce 10, debounce 9, idle 8";
        "the old one serves while the new one loads":
            Some(("1=7 2=9", "versions: {latest: 1}")), "1=7 loading:2=9", none => "idle 1";
        "the old one serves on when the new one fails":
            Some(("1=7 2=9", "versions: {latest: 1}")), "1=7 failed:2=9", none => "idle 1";
        "the old one goes when the new one serves":
            Some(("1=7 2=9", "versions: {latest: 1}")), "1=7 2=9", none => "retire 1, idle 1";
        "a failed version that is no longer selected is forgotten":
            Some(("1=7 2=9", "versions: {latest: 1}")), "failed:1=7 seen:2=9", none
            => "retire 1, idle 1";
        "a version that is asked for and missing is a reason":
            Some(("1=7", "versions: {only: [1, 5]}")), "1=7", none => "reason";
        "when no version asked for exists, what serves goes on":
            Some(("1=7", "versions: {only: [5]}")), "1=7", none => "idle 1, reason";
    };
    check(&cases, false, DEBOUNCE);
}

#[test]
fn the_last_version_is_retired_when_a_second_look_misses_it_too() {
    let none = Duration::ZERO;
    let cases = cases! {
        "the last version that serves is kept when it is gone":
            Some(("2=9", "")), "1=7 loading:2=9", none => "missing, reason";
        "also when all files of its model are": Some(("", "")), "1=7", none => "missing, reason";
        "also when the next one failed":
            Some(("2=9", "")), "1=7 failed:2=9 missing", DEBOUNCE => "missing, reason";
        "it is retired when the next one serves":
            Some(("2=9", "")), "1=7 2=9 missing", DEBOUNCE => "retire 1";
        "or when it is missed again after the delay":
            Some(("2=9", "")), "1=7 failed:2=9 missing", REMOVAL_DELAY => "retire 1";
        "a model that is gone is kept": None, "1=7 2=9", none => "missing, reason";
        "what does not serve is not": None, "1=7 failed:2=9 loading:3=3", none
            => "retire 2, retire 3, missing, reason";
        "and goes on being kept":
            None, "1=7 2=9 missing", REMOVAL_DELAY * 9 / 10 => "missing, reason";
        "until it is missed again after the delay":
            None, "1=7 2=9 missing", REMOVAL_DELAY => "retire 1, retire 2";
        "a model whose files are back is as before": Some(("1=7", "")), "1=7 missing", none => "";
    };
    check(&cases, false, DEBOUNCE);
}

#[test]
fn operator_changes_override_the_settings() {
    let now = tokio::time::Instant::now().into_std();
    let timing = Timing {
        now,
        debounce: Duration::ZERO,
        removal_delay: REMOVAL_DELAY,
        is_first_scan: false,
    };
    // The promise, the settings, the progress, required and excluded versions, and the plan.
    let cases = [
        (
            "a wanted version is loaded although the settings leave it out",
            ("versions: {latest: 1}", "2=9", "1", ""),
            "load 1",
        ),
        (
            "a wanted version stays although the settings leave it out",
            ("versions: {latest: 1}", "1=7 2=9", "1", ""),
            "",
        ),
        (
            "an unwanted version goes although nothing serves in its place",
            ("", "2=9 failed:1=7", "", "2"),
            "retire 2, idle 2",
        ),
        (
            "an unwanted version is not loaded again",
            ("", "1=7", "", "2"),
            "idle 2",
        ),
        (
            "an unwanted version goes although the settings are broken",
            ("broken", "1=7 2=9", "", "2"),
            "retire 2, idle 1, idle 2, reason",
        ),
        (
            "an unwanted version goes at once although it may only be missing",
            ("", "3=5", "", "3"),
            "load 2, load 1, retire 3",
        ),
        (
            "a wanted version that is not there is no plan",
            ("", "1=7 2=9", "5", ""),
            "",
        ),
    ];
    let versions = |text: &str| text.split_whitespace().map(version).collect();
    let mut failures = Vec::new();
    for (promise, (settings, stands, required, excluded), expected) in cases {
        let used = if settings == "broken" { "" } else { settings };
        let mut progress = progress(stands, used, now, Duration::ZERO);
        (progress.required, progress.excluded) = (versions(required), versions(excluded));
        let got = show(&plan(Some(&found("1=7 2=9", settings)), &progress, &timing));
        if got != expected {
            failures.push(format!("{promise}: {got:?} is not {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn an_old_version_is_loaded_at_once_when_the_server_starts() {
    let cases = cases! {
        "old": Some(("1=7", "")), "", Duration::ZERO => "load 1";
    };
    check(&cases, true, DEBOUNCE);
    let cases = cases! {
        "young": Some(("1=7", "")), "", Duration::ZERO => "debounce 1";
    };
    check(&cases, true, Duration::from_secs(60));
}

#[test]
fn a_load_that_is_asked_for_does_not_wait() {
    let cases = cases! {
        "new": Some(("1=7", "")), "", Duration::ZERO => "load 1";
        "unchanged": Some(("1=7", "")), "1=7", Duration::ZERO => "";
    };
    check(&cases, false, Duration::ZERO);
}

#[test]
fn changed_settings_load_a_version_again_and_a_changed_selection_does_not() {
    let now = tokio::time::Instant::now().into_std();
    let timing = Timing {
        now,
        debounce: Duration::ZERO,
        removal_delay: REMOVAL_DELAY,
        is_first_scan: false,
    };
    let progress = progress("1=7", "versions: {latest: 1}", now, Duration::ZERO);
    let same = plan(Some(&found("1=7", "versions: all")), &progress, &timing);
    assert_eq!(show(&same), "");
    let other = plan(Some(&found("1=7", "instances: 2")), &progress, &timing);
    assert_eq!(show(&other), "load 1");
}
