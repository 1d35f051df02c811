//! Tests of splits.

use std::time::Duration;

use super::*;

fn read(yaml: &str) -> Result<Split, String> {
    let file: Traffic = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    file.into_split()
        .map_err(|error| error.message().to_owned())
}

#[test]
fn a_short_split_has_defaults_for_the_rest() {
    let split = read("split: [{version: 1, weight: 0.9}, {version: canary, weight: 0.1}]").unwrap();
    assert_eq!(split.unit.source, UnitSource::Field("user_id".to_owned()));
    assert_eq!((split.hash, split.coverage), (AssignmentHash::Xxh3, 1.0));
    let names: Vec<_> = split.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["1", "canary"]);
}

#[test]
fn a_unit_is_a_key_or_a_location_or_nothing() {
    let source = |unit: &str| {
        let yaml = format!("split: [{{version: 1, weight: 1}}]\nunit: {unit}");
        read(&yaml).map(|split| split.unit.source)
    };
    assert_eq!(
        source("user.id"),
        Ok(UnitSource::Field("user.id".to_owned()))
    );
    assert_eq!(source("random"), Ok(UnitSource::Random));
    let cookie = "{from: cookie, name: sid, fallback: stable}";
    assert_eq!(source(cookie), Ok(UnitSource::Cookie("sid".to_owned())));
    let grpc = "{from: grpc, name: x-user}";
    assert_eq!(source(grpc), Ok(UnitSource::Header("x-user".to_owned())));
    assert!(
        source("{from: header}")
            .unwrap_err()
            .contains("`unit.name`")
    );
    assert!(source("{from: air, name: a}").is_err());
}

#[test]
fn a_split_survives_being_kept() {
    let yaml = "
        split: [{version: 1, weight: 0.25, name: control}, {version: v2.0, weight: 0.75}]
        unit: {from: header, name: x-user-id, fallback: stable}
        hash: murmur3
        salt: '1886780721'
        coverage: 0.5
        layer: {name: checkout, range: [0.0, 0.5]}
        override: {header: x-lockgate-arm}
        bandit: {period: 1h30m, min_units: 50, floor: 0.02}";
    let split = read(yaml).unwrap();
    let kept = serde_json::to_string(&Traffic::from(&split)).unwrap();
    let again: Traffic = serde_json::from_str(&kept).unwrap();
    assert_eq!(again.into_split().unwrap(), split);
}

#[test]
fn a_bandit_is_a_switch_or_what_differs_from_the_defaults() {
    let bandit = |text: &str| {
        let yaml = format!("split: [{{version: 1, weight: 1}}]\nbandit: {text}");
        read(&yaml).map(|split| split.bandit)
    };
    let default = contract::Bandit::default();
    assert_eq!(bandit("true"), Ok(Some(default)));
    assert_eq!(bandit("{}"), Ok(Some(default)));
    assert_eq!(bandit("false"), Ok(None));
    let floor = contract::Bandit {
        floor: 0.05,
        ..default
    };
    assert_eq!(bandit("{floor: 0.05}"), Ok(Some(floor)));
    let period = contract::Bandit {
        period: Duration::from_secs(5400),
        ..default
    };
    assert_eq!(bandit("{period: 1h30m}"), Ok(Some(period)));
    for (text, word) in [
        ("{perod: 5m}", "perod"),
        ("{period: soon}", "`bandit.period`"),
        ("{period: -5m}", "`bandit.period`"),
        ("maybe", "`true`"),
        ("[5m]", "`true`"),
    ] {
        let error = bandit(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn invalid_values_are_rejected() {
    let arms = "split: [{version: 1, weight: 1}]";
    for yaml in [
        format!("{arms}\nsalted: a"),
        format!("{arms}\nhash: sha1"),
        "split: [{version: 1, wieght: 1}]".to_owned(),
        "unit: a".to_owned(),
    ] {
        assert!(read(&yaml).is_err(), "{yaml}");
    }
}
