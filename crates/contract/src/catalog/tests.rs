use super::VersionState::{Loading, Ready, Unavailable, Unloading};
use super::*;

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// Returns a model with these versions: name, state and reason.
fn status(versions: &[(&str, VersionState, &str)]) -> ModelStatus {
    let versions = versions.iter().map(|(text, state, reason)| VersionStatus {
        version: version(text),
        state: *state,
        reason: (*reason).to_owned(),
        info: None,
        n_in_flight: 0,
        scheduling: None,
    });
    ModelStatus {
        warnings: Vec::new(),
        name: ModelName::new("digits").unwrap(),
        reason: String::new(),
        versions: versions.collect(),
        routing: Routing::default(),
    }
}

fn latest(status: &ModelStatus) -> Option<&str> {
    status.latest().map(|status| status.version.as_str())
}

#[test]
fn the_highest_version_that_is_ready_answers() {
    let cases: [(&[_], _); 6] = [
        (&[], None),
        (&[("1", Loading, "")], None),
        (&[("1", Ready, "")], Some("1")),
        (&[("1", Ready, ""), ("2", Ready, "")], Some("2")),
        (&[("1", Ready, ""), ("2", Loading, "")], Some("1")),
        (
            &[
                ("1", Ready, ""),
                ("2", Unloading, ""),
                ("3", Unavailable, "x"),
            ],
            Some("1"),
        ),
    ];
    for (versions, expected) in cases {
        assert_eq!(latest(&status(versions)), expected, "{versions:?}");
    }
}

#[test]
fn a_pin_wins_and_answers_only_while_it_is_ready() {
    let mut status = status(&[("1", Ready, ""), ("2", Loading, ""), ("3", Ready, "")]);
    for (pinned, expected) in [("1", Some("1")), ("2", None), ("3", Some("3")), ("4", None)] {
        status.routing.pinned = Some(version(pinned));
        assert_eq!(latest(&status), expected, "{pinned}");
    }
    status.routing.pinned = None;
    assert_eq!(latest(&status), Some("3"));
}

#[test]
fn a_version_is_found_by_its_number_before_a_label_of_that_name() {
    let mut status = status(&[("1", Ready, ""), ("2", Loading, "")]);
    let labels = [("stable", "1"), ("canary", "2"), ("2", "1"), ("gone", "7")];
    let labels = labels.map(|(label, text)| (label.to_owned(), version(text)));
    status.routing.labels = labels.into();
    let cases = [
        ("1", Some("1")),
        ("stable", Some("1")),
        ("canary", Some("2")),
        ("2", Some("2")),
        ("gone", None),
        ("3", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let found = status.version(text).map(|status| status.version.as_str());
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn a_model_that_serves_nothing_says_why() {
    let cases: [(&[_], _); 6] = [
        (&[], Some("it has no versions")),
        (&[("1", Ready, "")], None),
        (&[("1", Loading, "")], Some("version 1 is LOADING")),
        (&[("1", Unloading, "")], Some("version 1 is UNLOADING")),
        (
            &[("1", Unavailable, "no file"), ("2", Loading, "")],
            Some("version 1: no file; version 2 is LOADING"),
        ),
        (&[("1", Ready, ""), ("2", Unavailable, "no file")], None),
    ];
    for (versions, expected) in cases {
        let reason = status(versions).not_ready_reason();
        assert_eq!(reason.as_deref(), expected, "{versions:?}");
    }
}

#[test]
fn model_reason_takes_precedence() {
    let mut broken = status(&[("1", Unavailable, "no file")]);
    broken.reason = "`model.yaml` is broken".to_owned();
    let expected = Some("`model.yaml` is broken");
    assert_eq!(broken.not_ready_reason().as_deref(), expected);
    assert_eq!(broken.problem().as_deref(), expected);
}

#[test]
fn problem_is_reported_while_the_model_serves() {
    let mut status = status(&[("1", Ready, ""), ("2", Unavailable, "no file")]);
    assert_eq!(status.problem(), None);
    status.reason = "version 2 failed to load".to_owned();
    assert_eq!(status.not_ready_reason(), None);
    assert_eq!(
        status.problem().as_deref(),
        Some("version 2 failed to load")
    );
}

#[test]
fn unready_pinned_version_is_reported() {
    let mut status = status(&[("1", Loading, ""), ("2", Ready, "")]);
    status.routing.pinned = Some(version("1"));
    let reason = status.not_ready_reason().unwrap();
    assert!(reason.starts_with("version 1 is LOADING"), "{reason}");
}

#[test]
fn statistics_begin_at_nothing() {
    let model = ModelName::new("digits").unwrap();
    let statistics = VersionStatistics::new(model, version("3"));
    assert_eq!(statistics.version.as_str(), "3");
    assert_eq!((statistics.n_rows, statistics.n_executions), (0, 0));
    assert!(statistics.last_inference.is_none() && statistics.batches.is_empty());
    let times = [
        statistics.success,
        statistics.fail,
        statistics.queue,
        statistics.compute_input,
        statistics.compute,
        statistics.compute_output,
    ];
    assert_eq!(times, [CountAndTime::default(); 6]);
}
